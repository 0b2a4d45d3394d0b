"""Score and exact match against size, and the scores that papers print."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nar.reports.figures.parts import BLACK, BLUE, ORANGE, Results, is_percent, legend_above, panels, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def score_against_size(runs: Sequence[Results], published: Mapping[str, Any] | None = None) -> Figure:
    """Score and exact match against the number of nodes, one panel for each (algorithm, processor) among `runs`.

    Runs that differ in the seed alone share a panel: each seed is a thin line, their mean a thick one. `published`
    (nar/published.json) adds the score printed in the literature for that algorithm and processor, where there is one.
    """
    groups: dict[tuple[str, str], list[Results]] = {}
    for run in runs:
        for algorithm in dict.fromkeys(e["algorithm"] for e in run["evaluations"]):
            groups.setdefault((algorithm, run["run"]["processor"]), []).append(run)

    with style():
        figure, axes = panels(len(groups), height=2.9)
        handles: dict[str, Any] = {}
        for axis, ((algorithm, processor), members) in zip(axes, groups.items(), strict=True):
            if len(groups) > 1:
                axis.set_title(f"{algorithm}, {processor}")
            trained = [size for run in members for size in run["run"]["train_sizes"][algorithm]]
            shade = axis.axvspan(min(trained), max(trained), color="#EFEFEF", zorder=0, lw=0)
            rows = [[e for e in run["evaluations"] if e["algorithm"] == algorithm] for run in members]
            for name, key, color, marker in (
                ("node score", "score", BLUE, "o"),
                ("exact graphs", "exact", ORANGE, "s"),
            ):
                curves = [sorted((e["size"], 100 * e[key]) for e in row if is_percent(e, key)) for row in rows]
                handles |= _with_seeds(axis, curves, name, color, marker)
            evaluations = [e for row in rows for e in row]
            handles["sizes trained on"] = shade
            handles |= _published_mark(axis, algorithm, processor, published, evaluations)
            _size_axis(axis, trained, evaluations)
            axis.set_ylim(-4, 104)
            axis.set_ylabel("score (%)")
        legend_above(figure, handles)
    return figure


def _with_seeds(axis: Axes, curves: Sequence[Sequence[tuple]], name: str, color: str, marker: str) -> dict[str, Any]:
    """One curve, or every seed's curve thinly and their mean thickly; returns what belongs into the legend."""
    curves = [curve for curve in curves if curve]
    if len(curves) == 1:
        (line,) = axis.plot(*zip(*curves[0], strict=True), color=color, marker=marker, zorder=3)
        return {name: line}
    handles = {}
    for curve in curves:
        x, y = zip(*curve, strict=True)
        (handles[f"{name}, one seed"],) = axis.plot(x, y, color=color, marker=marker, ms=3, lw=0.7, alpha=0.55)
    sizes = sorted({size for curve in curves for size, _ in curve})
    means = [np.mean([y for curve in curves for x, y in curve if x == size]) for size in sizes]
    if curves:
        (handles[f"{name}, mean"],) = axis.plot(sizes, means, color=color, lw=2.2, zorder=3)
    return handles


def _published_mark(
    axis: Axes, algorithm: str, processor: str, published: Mapping[str, Any] | None, evaluations: Sequence[Any]
) -> dict[str, Any]:
    """An open diamond around our point; nothing where the literature has no score on a set that we evaluated."""
    sizes = [e["size"] for e in evaluations if published and e["data"]["set"] == published["set"]]
    if published is None or not sizes:
        return {}
    for row in published["scores"]:
        if (row["algorithm"], row["processor"]) == (algorithm, processor):
            mark = axis.errorbar(
                sizes[0], row["mean"], yerr=row["spread"], fmt="D", ms=8, mfc="none", mec=BLACK, ecolor=BLACK,
                elinewidth=1, capsize=3, zorder=4, clip_on=False,
            )  # fmt: skip
            return {published["short"]: mark}
    return {}


def _size_axis(axis: Axes, trained: Sequence[int], evaluations: Iterable[Mapping[str, Any]]) -> None:
    """log2 axis with a tick at every size evaluated, and under it how many graphs the score is a mean of."""
    samples: dict[int, set[int]] = {}
    for e in evaluations:
        samples.setdefault(e["size"], set()).add(e["samples"])
    sizes = sorted(samples)
    axis.set_xscale("log", base=2)
    axis.minorticks_off()
    labels, previous = [], -math.inf
    span = math.log2(max(sizes[-1], max(trained)) / min(sizes[0], min(trained))) or 1.0
    for size in sizes:
        counts = "-".join(f"{n:,}" for n in (min(samples[size]), max(samples[size]))[: len(samples[size])])
        crowded = (math.log2(size) - previous) / span < 0.09  # 64 beside 80: the second label goes below the first
        labels.append(("\n\n" if crowded else "") + f"{size}\n({counts})")
        previous = -math.inf if crowded else math.log2(size)
    axis.set_xticks(sizes, labels)
    axis.set_xlabel("nodes n, log scale (in brackets: graphs evaluated)")
