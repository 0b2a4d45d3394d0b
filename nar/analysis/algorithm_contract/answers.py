"""Outputs against the algorithm's own oracle, and whether its validity tells right from wrong. See check.py."""

from typing import Any

import numpy as np

from nar.analysis.algorithm_contract.examples import Example, Examples
from nar.analysis.contract.outcome import Failed
from nar.traces.spec import IGNORED, POINTERS, Probe, Type

CLOSE = 1e-9  # of the oracle's numbers, relative
TOLD = 0.1  # at least so many of changed answers must be told to be wrong: ties leave others right
CHANGES = 5  # of every answer


def oracle(examples: Examples) -> str:
    """What the oracle answers under the name of an output, or of a hint (its last moment), is what the trace says.

    Of an output that may be right in several ways, the oracle's must be valid too, and mostly the same.
    """
    algorithm, compared, ties = examples.algorithm, set(), 0
    for example in examples.all:
        found = algorithm.oracle(**example.arguments)
        if not isinstance(found, dict) or not found:
            raise Failed(f"it returns {found!r}; a dict of answers by name is required ({example})")
        for name, answer in found.items():
            if (said := _said(example, name, answer)) is None:
                continue
            compared.add(name)
            if not _same(said, np.asarray(answer)):
                if name not in algorithm.spec.outputs or not _is_tie(examples, example, name, answer):
                    raise Failed(f"{name} is {_short(said)}, the oracle says {_short(np.asarray(answer))} ({example})")
                ties += 1
    if ties > len(examples.all) / 2:
        raise Failed(f"on {ties} of {len(examples.all)} inputs, its answer is another one than the algorithm's")
    names = list(dict.fromkeys(found))
    if not compared:
        return f"answers {', '.join(names)}: none is an output or a hint, so that validity alone is compared"
    return f"the same {', '.join(n for n in names if n in compared)}" + (
        f"; {ties} ties broken otherwise" if ties else ""
    )


def _said(example: Example, name: str, answer: Any) -> np.ndarray | None:
    """What the trace says under this name, None where that is nothing or of another form."""
    if name in example.trace.spec.outputs:
        return np.asarray(example.trace.compact[name])
    last = np.asarray(example.trace.compact[name][-1]) if name in example.trace.spec.hints else None
    return last if last is not None and last.shape == np.shape(answer) else None


def _same(said: np.ndarray, answer: np.ndarray) -> bool:
    if said.shape != answer.shape:
        return False
    asked = np.isfinite(answer.astype(np.float64)) & (said != IGNORED)  # infinite: no path, for which hints say 0
    return bool(np.allclose(said[asked], answer[asked], rtol=CLOSE, atol=CLOSE))


def _is_tie(examples: Examples, example: Example, name: str, answer: Any) -> bool:
    try:
        return examples.algorithm.is_valid(example.arguments, {**example.outputs, name: answer})
    except ValueError:  # not of the form of this output
        return False


def _short(values: np.ndarray) -> str:
    return str(values.tolist() if values.size <= 12 else [*values.ravel()[:12].tolist(), "..."])


def validity(examples: Examples) -> str:
    """Traces' own outputs are valid, and most answers in which one entry is another one are not."""
    algorithm, rng, wrong, seen = examples.algorithm, np.random.RandomState(0), 0, 0
    for example in examples.all:
        if not algorithm.is_valid(example.arguments, example.outputs):
            said = ", ".join(f"{name}={_short(np.asarray(value))}" for name, value in example.outputs.items())
            raise Failed(f"the algorithm's own answer {said} is not valid ({example})")
        for _ in range(CHANGES if example.trace.nodes > 2 else 0):
            if (answer := changed(example, rng)) is not None:
                wrong += not algorithm.is_valid(example.arguments, answer)
                seen += 1
    if wrong <= TOLD * seen:
        raise Failed(f"{seen - wrong} of {seen} answers with one entry changed are called valid: it tells too little")
    return f"its own answers are valid, {wrong} of {seen} changed ones are not"


def changed(example: Example, rng: np.random.RandomState) -> dict[str, np.ndarray] | None:
    """The outputs with one entry of one of them changed, to something that its type allows; None: nothing is asked."""
    found = {name: np.array(value) for name, value in example.outputs.items()}
    name = sorted(found)[rng.randint(len(found))]
    probe, value = example.trace.spec[name], found[name]
    asked = np.argwhere(value != IGNORED)
    if not len(asked):
        return None
    at = tuple(asked[rng.randint(len(asked))])
    value[at] = _another(probe, value[at], example.trace.nodes, rng)
    return found


def _another(probe: Probe, value: Any, nodes: int, rng: np.random.RandomState) -> Any:
    if probe.type is Type.SCALAR:
        return value + 1
    kinds = nodes if probe.type in POINTERS or probe.type is Type.MASK_ONE else probe.classes or 2
    return (value + rng.randint(1, max(2, kinds))) % kinds
