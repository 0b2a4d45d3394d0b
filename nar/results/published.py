"""Scores that papers print, each with its source, its seeds, its metric and the data that it was made on.

    for score in nar.results.published.scores("bfs", processor="mpnn"):
        print(score.mean, score.spread, score.source.short, score.benchmark)

Numbers are comparable with ours only where the benchmark is the set that we evaluated and the protocol is alike: there
are several incompatible sets called CLRS-30 (docs/reports.md), papers train for other numbers of steps, and some report
the best of several models. `remark` says what is known of that. The numbers are in nar/results/published.json.
"""

import dataclasses
import functools
import json
from pathlib import Path

CANONICAL = "clrs30-v1/test"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a number was read."""

    name: str
    short: str
    url: str | None


@dataclasses.dataclass(frozen=True)
class PublishedScore:
    """One number of one table, in percent."""

    algorithm: str  # or "category:graphs", "overall:30-algorithm mean", ...
    method: str  # as the source calls it
    processor: str | None  # the same network here; None: there is none
    size: int | None  # as printed; on clrs30-v1, string matchers have 80 nodes where 64 stands
    metric: str
    mean: float
    spread: float | None  # what stands after the plus-minus sign
    spread_is: str | None  # what that is
    seeds: int | None
    benchmark: str | None  # the data; None: the source does not say
    remark: str
    source: Source

    def __str__(self) -> str:
        """As in "97.39% ± 0.19 over 10 seeds"."""
        return f"{self.mean:.2f}%{self.plus_minus}" + (f" over {self.seeds} seeds" if self.seeds else "")

    @property
    def plus_minus(self) -> str:
        """As in " ± 0.19"; "" where the source prints none."""
        return "" if self.spread is None else f" ± {self.spread:.2f}"


def scores(
    algorithm: str | None = None, processor: str | None = None, benchmark: str | None = None
) -> list[PublishedScore]:
    """The scores with these values, in the order of the file; None = any."""
    return [
        score
        for score in _all()
        if algorithm in (None, score.algorithm)
        and processor in (None, score.processor)
        and benchmark in (None, score.benchmark)
    ]


def ibarz2022(algorithm: str | None = None, processor: str | None = None) -> list[PublishedScore]:
    """Table 2 of Ibarz et al. 2022: four networks, thirty algorithms, the protocol of our defaults.

    In percent at n = 64 on the canonical test set; the table does not say which kind of spread it prints; memnet, mpnn
    and pgn reprint the CLRS-30 baselines of Velickovic et al. 2022.
    """
    found = scores(algorithm, processor, CANONICAL)
    return [score for score in found if score.source.short == "Ibarz et al. 2022" and ":" not in score.algorithm]


@functools.cache
def _all() -> tuple[PublishedScore, ...]:
    content = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    sources = {key: Source(**fields) for key, fields in content["sources"].items()}
    shared = ("method", "processor", "size", "metric", "benchmark", "remark")  # by all scores of a series
    return tuple(
        PublishedScore(
            algorithm=algorithm,
            mean=mean,
            spread=spread,
            spread_is=series["spread"],
            seeds=own_seeds[0] if own_seeds else series["seeds"],
            source=sources[series["source"]],
            **{name: series[name] for name in shared},
        )
        for series in content["series"]
        for algorithm, (mean, spread, *own_seeds) in series["scores"].items()
    )
