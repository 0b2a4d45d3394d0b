"""Algorithms x networks as a heat map of scores."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from nar.reports.html.context import View, interval, is_share, mean_written
from nar.reports.html.elements import (
    NOTHING,
    Markup,
    details,
    element,
    figure,
    join,
)
from nar.results.study import Cell

_LIMITS = (10.0, 30.0, 50.0, 65.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9)  # percent, where colours of the heat map change


def section(view: View) -> Markup | None:
    """Mean score of every algorithm and label at the size to speak of; the other sizes folded away."""
    if len(view.algorithms) < 2 or len(view.pairs()) < 3:
        return None
    main = _map(
        view, {algorithm: view.headline(algorithm) for algorithm in view.algorithms}, "the size in the first column"
    )
    sizes = sorted({cell.size for cell in view.cells})
    others = [
        details(f"n = {size}", _map(view, dict.fromkeys(view.algorithms, size), f"n = {size}"))
        for size in sizes
        if any(view.headline(algorithm) != size for algorithm in view.algorithms)
    ]
    caption = (
        "Mean node score in percent, and its 95% interval where there are several seeds. Colours change at the scores "
        "in the scale above, in smaller steps towards 100. An empty field was not evaluated; a field without colour "
        "holds a score with an error in it, for which lower is better."
    )
    return figure([], caption, join(_scale(), main), *others)


def _scale() -> Markup:
    """The colours with the scores at which each begins."""
    fields = [element("li", f"{limit:g}", class_=f"h{k}") for k, limit in enumerate((0.0, *_LIMITS))]
    return element("ul", *fields, class_="scale", aria_label="Colours begin at these scores in percent")


def _map(view: View, sizes: dict[str, int | None], name: str) -> Markup:
    columns = [label for label in view.labels if any(view.plain(a, label) for a in view.algorithms)]
    head = element("tr", element("th", "algorithm", scope="col"), *(element("th", c, scope="col") for c in columns))
    rows = []
    for algorithm in view.algorithms:
        size = sizes[algorithm]
        cells = [view.at(algorithm, label, size) for label in columns]
        if any(cells):
            head_cell = element("th", algorithm, element("small", f"n = {size}"), scope="row")
            rows.append(element("tr", head_cell, *(_field(cell) for cell in cells)))
    means = [_mean_of_means([view.at(a, label, sizes[a]) for a in view.algorithms]) for label in columns]
    if any(mean is not None for mean in means) and len(rows) > 1:
        head_cell = element("th", "mean", element("small", "over all rows"), scope="row")
        rows.append(
            element(
                "tr", head_cell, *(_shade(mean, f"{100 * mean:.2f}" if mean is not None else NOTHING) for mean in means)
            )
        )
    inner = element("table", element("thead", head), element("tbody", *rows), class_="heat")
    return element("div", inner, class_="scroll", role="region", aria_label=f"Mean node score at {name}", tabindex="0")


def _field(cell: Cell | None) -> Markup:
    found = interval(cell, "score")
    if cell is None or found is None:
        return element("td", NOTHING)
    if not is_share(cell):
        return element("td", mean_written(cell))
    between = None
    if found.low is not None and found.high is not None:
        between = element("small", f"[{100 * found.low:.1f}, {100 * found.high:.1f}]")
    return _shade(found.mean, join(f"{100 * found.mean:.2f}", between))


def _shade(share: float | None, content: str | Markup) -> Markup:
    if share is None:
        return element("td", content)
    return element("td", content, class_=f"h{bisect.bisect_right(_LIMITS, 100 * share + 1e-9)}")


def _mean_of_means(cells: Sequence[Cell | None]) -> float | None:
    """Over algorithms, where every one has a share; a mean over other rows than its neighbour's would mislead."""
    found = [interval(cell, "score") if cell is not None and is_share(cell) else None for cell in cells]
    known_means = [one.mean for one in found if one is not None]
    return sum(known_means) / len(known_means) if found and len(known_means) == len(found) else None
