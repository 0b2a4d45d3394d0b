"""Scores that papers print, each with its source, its seeds, its metric and the data that it was made on.

    for score in nar.results.published.scores("bfs", processor="mpnn"):
        print(score.mean, score.spread, score.source.short, score.benchmark)

Numbers are comparable with ours only where the benchmark is the set that we evaluated and the protocol is alike: there
are several incompatible sets called CLRS-30 (docs/reports.md), papers train for other numbers of steps, and some report
the best of several models. `remark` says what is known of that. The numbers are in nar/published.json.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

CANONICAL = "clrs30-v1/test"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a number was read."""

    name: str
    short: str
    url: str | None


@dataclasses.dataclass(frozen=True)
class Score:
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
        spread = "" if self.spread is None else f" ± {self.spread:.2f}"
        return f"{self.mean:.2f}%{spread}" + (f" over {self.seeds} seeds" if self.seeds else "")


def scores(
    algorithm: str | None = None, processor: str | None = None, benchmark: str | None = None, size: int | None = None
) -> list[Score]:
    """The scores with these values, in the order of the file; None = any."""
    return [
        score
        for score in _all()
        if algorithm in (None, score.algorithm)
        and processor in (None, score.processor)
        and benchmark in (None, score.benchmark)
        and size in (None, score.size)
    ]


def ibarz2022() -> dict[str, Any]:
    """Table 2 of Ibarz et al. 2022 as a dict: four networks, thirty algorithms, the protocol of our defaults."""
    rows = [s for s in scores(benchmark=CANONICAL) if s.source.short == "Ibarz et al. 2022" and ":" not in s.algorithm]
    names = ("algorithm", "processor", "mean", "spread", "seeds")
    return {
        "source": rows[0].source.name,
        "short": rows[0].source.short,
        "url": rows[0].source.url,
        "note": "score in percent, n = 64, canonical CLRS-30 test set; mean and the printed +- over seeds (the table "
        "does not say which kind); memnet, mpnn and pgn reprint the CLRS-30 baselines of Velickovic et al. 2022",
        "set": CANONICAL,
        "scores": [{name: getattr(row, name) for name in names} for row in rows],
    }


@functools.cache
def _all() -> tuple[Score, ...]:
    content = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    sources = {key: Source(**fields) for key, fields in content["sources"].items()}
    return tuple(
        Score(
            algorithm=algorithm,
            method=series["method"],
            processor=series["processor"],
            size=series["size"],
            metric=series["metric"],
            mean=mean,
            spread=spread,
            spread_is=series["spread"],
            seeds=own_seeds[0] if own_seeds else series["seeds"],
            benchmark=series["benchmark"],
            remark=series["remark"],
            source=sources[series["source"]],
        )
        for series in content["series"]
        for algorithm, (mean, spread, *own_seeds) in series["scores"].items()
    )
