"""The tables that benchmarks/clrs30_report.py makes from results/clrs30.csv, in Markdown.

Scores are in percent: **mean** ± standard deviation over seeds, a 95% interval of the mean in square brackets
(nar/results/statistics.py) and every seed in round ones. A cell of which nothing is recorded is said to be missing; one
with fewer seeds than planned says how many.
"""

from __future__ import annotations

import dataclasses
import statistics

import clrs30_cells as cells
from speed_tables import table

from nar import datasets
from nar.results import published
from nar.results.statistics import interval

PROTOCOL, STEP = ("triplet_gmpnn", "protocol"), ("relational", "step")  # who made the columns of the table
SIZES = (16, 64, *cells.LARGER)
NAMES = sorted(cells.ALL)
MISSING = "missing"


@dataclasses.dataclass(frozen=True)
class Table:
    """What is recorded: {(algorithm, processor, recipe): {size: {seed: row}}}."""

    rows: dict[tuple[str, str, str], dict[int, dict[int, dict[str, str]]]]

    @classmethod
    def of(cls, rows: list[dict[str, str]]) -> Table:
        found: dict = {}
        for row in rows:
            sizes = found.setdefault((row["algorithm"], row["processor"], row["recipe"]), {})
            sizes.setdefault(int(row["size"]), {})[int(row["seed"])] = row
        return cls(found)

    def values(self, algorithm: str, made: tuple[str, str], n: int = 64, name: str = "score") -> dict[int, float]:
        """A number by seed, those that are not known left out; `n` before it is made the algorithm's own size."""
        own = cells.sizes_of(algorithm, (n,))[0]
        found = self.rows.get((algorithm, *made), {}).get(own, {})
        return {seed: float(row[name]) for seed, row in sorted(found.items()) if row.get(name, "") != ""}

    def mean_over(self, names: list[str], made: tuple[str, str]) -> dict[int, float]:
        """The mean score over algorithms at n = 64 by seed, of the seeds that all of these algorithms have."""
        each = [self.values(name, made) for name in names]
        seeds = set.intersection(*map(set, each)) if each else set()
        return {seed: statistics.fmean(values[seed] for values in each) for seed in sorted(seeds)}


def planned(algorithm: str, made: tuple[str, str]) -> int:
    """How many seeds the queue has."""
    return sum(cell[:3] == (algorithm, *made) for cell in cells.queue())


def spread(values: list[float]) -> str:
    """As in " ± 0.45"; nothing of one value."""
    return f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""


def percents(by_seed: dict[int, float]) -> list[float]:
    return [100 * value for value in by_seed.values()]


def whole(by_seed: dict[int, float], of: int = 0) -> str:
    """Mean, deviation, interval and every seed; `of`: seeds that are planned."""
    if not by_seed:
        return MISSING
    values = percents(by_seed)
    found = interval(values)
    limits = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    each = [", ".join(f"{value:.2f}" for value in values)] if len(values) > 1 else []
    each += [f"{len(values)} of {of} seeds"] if len(values) < of else []
    return f"**{found.mean:.2f}**{spread(values)}{limits}" + (f" ({'; '.join(each)})" if each else "")


def short(by_seed: dict[int, float], of: int = 0) -> str:
    """Mean and deviation; the number of seeds where it is not the planned one."""
    if not by_seed:
        return MISSING
    values = percents(by_seed)
    few = f" ({len(values)} of {of} seeds)" if len(values) < of else ""
    return f"{statistics.fmean(values):.2f}{spread(values)}{few}"


def known(algorithm: str, processor: str = "triplet_gmpnn") -> str:
    """What Ibarz et al. print."""
    found = published.ibarz2022(algorithm, processor)
    return f"{found[0].mean:.2f}{found[0].plus_minus}" if found else "–"


def published_mean(names: list[str]) -> float:
    return statistics.fmean(published.ibarz2022(name, "triplet_gmpnn")[0].mean for name in names)


def scores(found: Table, cell=whole) -> str:
    """Every algorithm at n = 64: published, by the protocol, by the recipe."""
    rows = [
        [f"`{name}`", known(name), *(cell(found.values(name, made), planned(name, made)) for made in (PROTOCOL, STEP)),
         short(found.values(name, STEP, name="exact"))]
        for name in NAMES
    ]  # fmt: skip
    header = [
        "algorithm",
        "published Triplet-GMPNN",
        "Triplet-GMPNN, protocol",
        "recipe `step`",
        "`step`, whole graphs",
    ]
    return table(header, rows) + "\n" + means(found)


def means(found: Table) -> str:
    """Of each column the mean over the algorithms that are recorded, beside the published one of these."""
    lines = []
    for made, what in ((PROTOCOL, "Triplet-GMPNN by the protocol"), (STEP, "The recipe `step`")):
        names = [name for name in NAMES if found.values(name, made)]
        if not names:
            lines.append(f"- {what}: nothing is recorded yet.\n")
            continue
        each = {name: statistics.fmean(percents(found.values(name, made))) for name in names}
        above = sum(mean > published.ibarz2022(name, "triplet_gmpnn")[0].mean for name, mean in each.items())
        by_seed = found.mean_over(names, made)
        seeds = f"; by seed, of the {len(by_seed)} that all of these have: {whole(by_seed)}" if len(by_seed) > 1 else ""
        lines.append(
            f"- {what}: mean of {len(names)} of 30 algorithms **{statistics.fmean(each.values()):.2f}**{seeds}. "
            f"Published for these: {published_mean(names):.2f}. Above 99: {sum(mean > 99 for mean in each.values())}; "
            f"above the published mean: {above}.\n"
        )
    return "".join(lines)


def by_size(found: Table, name: str, made: tuple[str, str] = STEP) -> str:
    """A number of every algorithm at every size, with the graphs of which it is where these are few."""
    rows = []
    for algorithm in NAMES:
        line = [f"`{algorithm}`"]
        for n in SIZES:
            if datasets.get(algorithm).fixed_nodes and n != 64:
                line.append("–")
                continue
            values = found.values(algorithm, made, n, name)
            graphs = found.values(algorithm, made, n, "samples")
            few = sorted({int(graphs[seed]) for seed in values if seed in graphs and graphs[seed] < cells.MOST})
            size = cells.sizes_of(algorithm, (n,))[0]
            cannot = n > 64 and cells.graphs(algorithm, size) == 0
            text = short(values) if values else "too long" if cannot else MISSING
            line.append(text + (f" ({' to '.join(map(str, few[:: max(1, len(few) - 1)]))} graphs)" if few else ""))
        if any(found.values(algorithm, made, n, name) for n in SIZES):
            rows.append(line)
    left = f"\nOf {30 - len(rows)} of 30 algorithms nothing is recorded yet.\n" if len(rows) < 30 else ""
    return (table(["algorithm", *(f"n = {n}" for n in SIZES)], rows) if rows else "") + left


def own_end(found: Table) -> str:
    """With the trace's number of steps, and where the reasoner itself says when it has finished, at n = 64."""
    kinds = ("score", "learned_end", "exact", "learned_end_exact")
    each = {name: [found.values(name, STEP, name=kind) for kind in kinds] for name in NAMES}
    asked = {  # of the seeds that were asked both ways
        name: [{seed: kind[seed] for seed in values[1]} for kind in values]
        for name, values in each.items()
        if values[1]
    }
    if not asked:
        return "Nothing is recorded yet.\n"
    gap = max(100 * abs(values[0][seed] - values[1][seed]) for values in asked.values() for seed in values[1])
    rows = [[f"`{name}`", *map(short, values)] for name, values in asked.items()]
    header = ["algorithm", "score: steps of the trace", "own end", "whole graphs: steps of the trace", "own end"]
    return table(header, rows) + f"\nLargest difference of two scores: {gap:.2f}; {len(asked)} of 30 algorithms.\n"


def cost(found: Table) -> str:
    """CPU minutes of a run, means over seeds."""

    def minutes(algorithm, made, name):
        values = list(found.values(algorithm, made, name=name).values())
        return f"{statistics.fmean(values) / 60:.1f}" if values else MISSING

    rows = [
        [
            f"`{name}`",
            *(minutes(name, made, what) for made in (PROTOCOL, STEP) for what in ("train_seconds", "cpu_seconds")),
        ]
        for name in NAMES
        if found.values(name, PROTOCOL) or found.values(name, STEP)
    ]
    header = ["algorithm", "protocol: training, by the clock", "protocol: training and evaluation, CPU",
              "`step`: training, by the clock", "`step`: training and evaluation, CPU"]  # fmt: skip
    return table(header, rows)


def ablation(found: Table) -> str:
    """The recipe with one ingredient left out or replaced, at n = 64."""
    rows = []
    for recipe in ["step", *cells.ABLATIONS]:
        flags = " ".join(cells.RECIPES[recipe][2:]) or "as it is"
        line = [short(found.values(name, ("relational", recipe)), 3) for name in cells.SIX]
        rows.append([f"`{flags}`" if recipe != "step" else flags, *line])
    return table(["recipe `step` with", *(f"`{name}`" for name in cells.SIX)], rows)


def named_by_protocol(found: Table) -> str:
    """The networks of the literature under one protocol, beside what was published of them."""
    algorithms = ["bellman_ford", "insertion_sort"]
    rows = [
        [f"`{network}`", *(text for name in algorithms
                           for text in (known(name, network), whole(found.values(name, (network, "protocol")), 3)))]
        for network in cells.NAMED
    ]  # fmt: skip
    header = ["network", *(text for name in algorithms for text in (f"`{name}`, published", "ours"))]
    return table(header, rows)


def named_by_step(found: Table) -> str:
    """The same trained on moments: with the recipe's relations, then without."""
    rows = [
        [f"`{network}`", words, *(short(found.values(name, (network, recipe)), 3) for name in cells.SIX)]
        for network in ["relational", *cells.NAMED]
        for recipe, words in (("step", "with"), ("step-no-relations", "without"))
    ]
    return table(["network", "relations", *(f"`{name}`" for name in cells.SIX)], rows)
