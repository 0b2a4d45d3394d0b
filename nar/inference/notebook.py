"""A prediction as notebooks show it: every output's entries, wrong ones first and red, beside the algorithm's own."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from nar.text_format import html_table, quoted, unquoted

ROWS = 20  # entries of an output


def page(prediction: Any) -> str:
    """HTML of a Prediction: a paragraph that says how much is right, and a table for each output."""
    title, *_ = str(prediction).split("\n")
    parts = [f"<p>{html.escape(' '.join([f'{title}.', *prediction.summary()]))}</p>"]
    for name, found in prediction.tallies.items():
        single = not isinstance(prediction.outputs[name], Mapping)
        answer, truth, sure = map(
            _by_key, (prediction.outputs[name], prediction.truth[name], prediction.confidence.get(name))
        )
        wrong = {key for key in answer if truth[key] is not None and answer[key] != truth[key]}
        keys = [*(key for key in answer if key in wrong), *(key for key in answer if key not in wrong)]
        shown = [
            (word, quoted(answer[key]), _percent(sure.get(key)), quoted(truth[key]))
            for key, word in zip(keys[:ROWS], [""] if single else _words(keys), strict=False)
        ]
        more = f", {len(keys) - ROWS} more" if len(keys) > ROWS else ""
        marked = range(min(len(wrong), ROWS))
        caption = f"{name}: {found.in_words()}{more}"
        parts.append(html_table(caption, ("", "predicted", "confidence", "algorithm"), shown, marked))
    if prediction.scale is not None and prediction.scale.is_far:
        parts.append(f"<p>{html.escape(prediction.about_scale())}</p>")
    return "".join(parts)


def _words(keys: Sequence[Any]) -> list[str]:
    """The nodes' names as they are read; as Python writes them where they would look alike (1 and '1'), or empty."""
    words = [unquoted(key) for key in keys]
    alike = len(set(words)) < len(words) or not all(word.strip() for word in words)
    return [quoted(key) for key in keys] if alike else words


def _by_key(values: Any) -> Mapping[Any, Any]:
    """An output by node; one that is a single answer has no name."""
    return values if isinstance(values, Mapping) else {} if values is None else {"": values}


def _percent(share: Any) -> str:
    return f"{share:.0%}" if isinstance(share, float) else ""
