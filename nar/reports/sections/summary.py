"""The answer in words, which reports begin with: what was compared, how well it extrapolates, how sure that is."""

import statistics
from collections.abc import Sequence

from nar.reports.blocks import Span, Text
from nar.reports.context import ReportContext
from nar.reports.number_format import percent, with_interval
from nar.reports.sections.comparisons import compared
from nar.results.statistics import Interval
from nar.results.study import SeedGroup, grouped
from nar.text_format import counted, listed

_FEW = 4  # up to so many algorithms, each has a sentence of its own
_NAMED = 3  # up to so many networks, each has its number in it


def title(context: ReportContext) -> str:
    """The report's name: what was learned with what."""
    named = ((context.learned, "algorithm"), (context.labels, "network"))
    return " with ".join(listed(names) if len(names) <= 3 else counted(len(names), noun) for names, noun in named)


def answer(context: ReportContext) -> Text:
    """One paragraph."""
    parts: list[Text] = [_setup(context)]
    if not context.groups:
        parts.append("No run has been evaluated, so there are no scores to report.")
    elif len(context.algorithms) <= _FEW:
        parts += [_of_algorithm(context, algorithm) for algorithm in context.algorithms]
    else:
        parts += _over_all(context)
    parts.append(_clear(context))
    return tuple((part, " ") for part in parts if part)


def _setup(context: ReportContext) -> str:
    """What was trained, and how often."""
    runs = context.study.runs
    learned = f"{_some(context.labels, 'network')} learned {_some(context.learned, 'algorithm')}"
    trained = [size for algorithm in context.learned for size in context.trained(algorithm)]
    on = " from single steps" if all(run.single_steps for run in runs) else ""
    on += f" on graphs of at most {max(trained)} nodes" if trained else ""
    if len(runs) == 1:
        return f"{learned}{on}, in one run with seed {runs[0].seed}."
    networks = grouped(runs, lambda run: (run.label, *run.algorithms)).values()
    sets = {frozenset(run.seed for run in of_network) for of_network in networks}
    least, most = min(map(len, sets)), max(map(len, sets))
    seeds = f"{least} to {most} seeds each" if least < most else f"{counted(most, 'seed')} each"
    if len(sets) == 1:
        named = listed(sorted(*sets), 6)
        seeds = f"{seeds} ({named})" if most > 1 else f"all with seed {named}"
    return f"{learned}{on}: {len(runs)} runs, {seeds}."


def _some(names: Sequence[str], noun: str) -> str:
    """The names, or how many there are."""
    return listed(names) if len(names) <= 3 else f"{counted(len(names), noun)} ({listed(names, 6)})"


def _of_algorithm(context: ReportContext, algorithm: str) -> Text:
    """The scores at the size to speak of with their intervals, and in means at the largest."""
    size = context.headline(algorithm)
    found = _scores(context, algorithm, size)
    if not found:
        return ""
    trained = context.trained(algorithm)
    largest = max(context.shared_sizes(algorithm))
    further = _scores(context, algorithm, largest) if largest != size else []
    times = f" ({largest / trained[-1]:.3g} times as many as in training)" if trained and largest > trained[-1] else ""
    exact = [one.mean for group, _ in found if (one := group.interval("exact")) is not None]
    return (
        "On ", Span(algorithm, "strong"), f" with {size} nodes, ",
        "" if found[0][0].is_share() else "with an error in the score, so that lower is better, ",
        _scores_said(found),
        f", with every output right in {_shares(exact)} of graphs" if exact else "",
        f"; with {largest} nodes{times} " if further else "", _scores_said(further, brief=True), ".",
    )  # fmt: skip


def _scores(context: ReportContext, algorithm: str, size: int | None) -> list[tuple[SeedGroup, Interval]]:
    groups = [context.at(algorithm, label, size) for label in context.labels_of(algorithm)]
    return [(group, one) for group in groups if group is not None and (one := group.interval("score")) is not None]


def _scores_said(found: Sequence[tuple[SeedGroup, Interval]], brief: bool = False) -> Text:
    """Who scores what; of many networks the lowest and the highest. `brief`: the numbers alone, in the same order."""
    if len(found) > _NAMED:
        ordered = sorted(found, key=lambda one: (one[1].mean, one[0].label))
        (low, least), (high, most) = ((group.label, _mean(group, one)) for group, one in (ordered[0], ordered[-1]))
        if brief:
            return f"{least} to {most}"
        many = f"{len(found)} networks score from "
        return many, Span(least, "strong"), f" ({low}) to ", Span(most, "strong"), f" ({high})"
    if brief:
        return listed(_mean(group, one) for group, one in found)
    parts: list[Text] = []
    for k, (group, one) in enumerate(found):
        joint = "" if k == 0 else " and " if k == len(found) - 1 else ", "
        _, space, between = with_interval(one, group.is_share()).partition(" ")
        mean = Span(_mean(group, one), "strong")
        parts.append((joint, f"{group.label} scores ", mean, space + between.replace(", ", ",\u00a0")))
    return tuple(parts)


def _mean(group: SeedGroup, found: Interval) -> str:
    return with_interval(found, group.is_share(), "%", brief=True)


def _shares(means: Sequence[float]) -> str:
    if len(means) > _NAMED:
        return f"{percent(min(means), 1)}% to {percent(max(means), 1)}%"
    return listed([f"{percent(mean, 1)}%" for mean in means])


def _over_all(context: ReportContext) -> list[Text]:
    """Of many algorithms: the mean of each network, and where it is best and worst."""
    found: list[Text] = []
    for label in context.labels:
        means = [
            (one.mean, algorithm)
            for algorithm in context.algorithms
            for group, one in _scores(context, algorithm, context.headline(algorithm))
            if group.label == label and group.is_share()
        ]
        if means:
            (low, worst), (high, best) = min(means), max(means)
            mean = Span(f"{percent(statistics.fmean(mean for mean, _ in means))}%", "strong")
            span = f"from {percent(low)}% ({worst}) to {percent(high)}% ({best})"
            found.append((f"{label}: mean node score ", mean, f" over {counted(len(means), 'algorithm')}, {span}."))
    return [*found[:_FEW], *(["The heat map has the other networks."] if len(found) > _FEW else [])]


def _clear(context: ReportContext) -> str:
    """How many paired differences at the sizes spoken of are clear of zero."""
    sizes = {a: {context.headline(a), max(context.shared_sizes(a), default=None)} for a in context.algorithms}
    found = [
        (one, other, p)
        for one, other, p in compared(context)
        if one.is_share() and len(p.seeds) > 1 and one.size in sizes[one.algorithm]
    ]
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
