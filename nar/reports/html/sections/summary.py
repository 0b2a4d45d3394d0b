"""The answer in words, which the page begins with: what was compared, how well it extrapolates, how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from nar.reports.html.context import View, interval, is_share
from nar.reports.html.elements import Content, Markup, element, join, number, percent
from nar.reports.html.sections.compare import compared
from nar.results.statistics import Interval
from nar.results.study import Cell
from nar.text_format import counted, listed

_FEW = 4  # up to so many algorithms, each has a sentence of its own
_NAMED = 3  # up to so many networks, each has its number in it


def title(view: View) -> str:
    """The page's name: what was learned with what."""
    algorithms, labels = _algorithms(view), view.labels
    learned = listed(algorithms) if len(algorithms) <= 3 else counted(len(algorithms), "algorithm")
    return f"{learned} with {listed(labels) if len(labels) <= 3 else counted(len(labels), 'network')}"


def answer(view: View) -> Markup:
    """One paragraph."""
    parts: list[Content] = [_setup(view)]
    if not view.cells:
        parts.append("No run has been evaluated, so there are no scores to report.")
    elif len(view.algorithms) <= _FEW:
        parts += [_of_algorithm(view, algorithm) for algorithm in view.algorithms]
    else:
        parts += _over_all(view)
    parts.append(_clear(view))
    shown = [part for part in parts if part]
    return element("p", *(join(part, " ") for part in shown), class_="lead")


def _algorithms(view: View) -> list[str]:
    """What was learned, evaluated or not."""
    return list(dict.fromkeys([*view.algorithms, *(name for run in view.study.runs for name in run.algorithms)]))


def _setup(view: View) -> str:
    """What was trained, and how often."""
    runs = view.study.runs
    learned = f"{_some(view.labels, 'network')} learned {_some(_algorithms(view), 'algorithm')}"
    trained = [size for algorithm in _algorithms(view) for size in view.trained(algorithm)]
    on = f" on graphs of at most {max(trained)} nodes" if trained else ""
    if len(runs) == 1:
        return f"{learned}{on}, in one run with seed {runs[0].seed}."
    each: dict[tuple[str, ...], set[int]] = {}
    for run in runs:
        each.setdefault((run.label, *run.algorithms), set()).add(run.seed)
    counts = [len(seeds) for seeds in each.values()]
    if min(counts) != max(counts):
        seeds = f"{min(counts)} to {max(counts)} seeds each"
    else:
        same = len({frozenset(seeds) for seeds in each.values()}) == 1
        named = listed(sorted(next(iter(each.values()))), 6)
        seeds = f"{counted(counts[0], 'seed')} each" + (f" ({named})" if same else "")
        if same and counts[0] == 1:
            seeds = f"all with seed {named}"
    return f"{learned}{on}: {len(runs)} runs, {seeds}."


def _some(names: Sequence[str], noun: str) -> str:
    """The names, or how many there are."""
    return listed(names) if len(names) <= 3 else f"{counted(len(names), noun)} ({listed(names, 6)})"


def _of_algorithm(view: View, algorithm: str) -> Markup | None:
    """The scores at the size to speak of with their intervals, and in means at the largest."""
    size = view.headline(algorithm)
    found = _scores(view, algorithm, size)
    if not found:
        return None
    trained = view.trained(algorithm)
    largest = max(view.shared_sizes(algorithm))
    further = _scores(view, algorithm, largest) if largest != size else []
    times = f" ({largest / trained[-1]:.3g} times as many as in training)" if trained and largest > trained[-1] else ""
    exact = [one for cell, _ in found if (one := interval(cell, "exact")) is not None]
    return join(
        "On ", element("strong", algorithm), f" with {size} nodes, ",
        "" if is_share(found[0][0]) else "with an error in the score, so that lower is better, ",
        _spoken(found),
        f", with every output right in {_shares([one.mean for one in exact])} of graphs" if exact else "",
        *((f"; with {largest} nodes{times} ", _spoken(further, brief=True)) if further else ()), ".",
    )  # fmt: skip


def _scores(view: View, algorithm: str, size: int | None) -> list[tuple[Cell, Interval]]:
    cells = [cell for label in view.labels_of(algorithm) if (cell := view.at(algorithm, label, size)) is not None]
    return [(cell, one) for cell in cells if (one := interval(cell, "score")) is not None]


def _spoken(found: Sequence[tuple[Cell, Interval]], brief: bool = False) -> Markup:
    """Who scores what; of many networks the lowest and the highest. `brief`: the numbers alone, in the same order."""
    if len(found) > _NAMED:
        ordered = sorted(found, key=lambda one: (one[1].mean, one[0].label))
        (low, least), (high, most) = ordered[0], ordered[-1]
        least_and_most = _number(low, least, plain=True), _number(high, most, plain=True)
        if brief:
            return join(least_and_most[0], " to ", least_and_most[1])
        return join(
            f"{len(found)} networks score from ",
            element("strong", least_and_most[0]),
            f" ({low.label}) to ",
            element("strong", least_and_most[1]),
            f" ({high.label})",
        )
    shown = [join("" if brief else f"{cell.label} scores ", _number(cell, one, plain=brief)) for cell, one in found]
    return join(*(join(part, _joint(k, len(shown))) for k, part in enumerate(shown)))


def _joint(place: int, count: int) -> str:
    """What follows a part of a list in words."""
    return "" if place == count - 1 else " and " if place == count - 2 else ", "


def _number(cell: Cell, one: Interval, plain: bool = False) -> Markup:
    """A mean, in bold and with its interval unless `plain`."""
    share = is_share(cell)
    mean = f"{percent(one.mean)}%" if share else number(one.mean)
    if plain:
        return join(mean)
    write = percent if share else number
    between = f" [{write(one.low)}, {write(one.high)}]" if one.low is not None and one.high is not None else ""
    return join(element("strong", mean), between.replace(", ", ",\u00a0"))


def _shares(means: Sequence[float]) -> str:
    if len(means) > _NAMED:
        return f"{percent(min(means), 1)}% to {percent(max(means), 1)}%"
    return listed([f"{percent(mean, 1)}%" for mean in means])


def _over_all(view: View) -> list[Content]:
    """Of many algorithms: the mean of each network, and where it is best and worst."""
    found: list[Content] = []
    for label in view.labels:
        means = [
            (one.mean, algorithm)
            for algorithm in view.algorithms
            for cell, one in _scores(view, algorithm, view.headline(algorithm))
            if cell.label == label and is_share(cell)
        ]
        if means:
            (low, worst), (high, best) = min(means), max(means)
            mean = element("strong", f"{percent(statistics.fmean(mean for mean, _ in means))}%")
            found.append(
                join(
                    f"{label}: mean node score ",
                    mean,
                    f" over {counted(len(means), 'algorithm')}, from {percent(low)}% "
                    f"({worst}) to {percent(high)}% ({best}).",
                )
            )
    return [*found[:_FEW], *(["The heat map has the other networks."] if len(found) > _FEW else [])]


def _clear(view: View) -> str:
    """How many paired differences at the sizes spoken of are clear of zero."""
    sizes = {a: {view.headline(a), max(view.shared_sizes(a), default=None)} for a in view.algorithms}
    found = [(one, other, p) for one, other, p in compared(view) if one.size in sizes[one.algorithm]]
    if not found:
        return ""
    above = sum(p.difference.low is not None and p.difference.low > 0 for _, _, p in found)
    below = sum(p.difference.high is not None and p.difference.high < 0 for _, _, p in found)
    others = list(dict.fromkeys(other.label for _, other, _ in found))
    who = listed(others) if len(others) <= _NAMED else "the others"
    return (
        f"Compared with {listed(dict.fromkeys(one.label for one, _, _ in found))} seed by seed at these sizes, the 95% "
        f"interval of the difference lies above zero for {who} in {above} and below zero in {below} of "
        f"{counted(len(found), 'comparison')}."
    )
