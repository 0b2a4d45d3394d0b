"""What `nar faithfulness` measured of the runs of a study, over the seeds of each network, and its baselines.

    for one in nar.reports.faithfulness_means.of_study(study):
        print(one.algorithm, one.name, one.interval("external.area"))

Only what was measured on the same graphs is averaged: of one size, small size and number of samples. The baselines
stand in the file of every run (nar/results/faithfulness_file.py); one that several runs share counts once.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from nar.results.faithfulness_file import KINDS
from nar.results.study import Repeated, Study

MEASURES = {  # as readers see them: where they are in a row
    "score": "score",
    "hints": "external.area",
    "acting": "external.acting",
    "ignored": "interventions.ignored",
    "followed": "interventions.followed",
    "sources": "sources.mass",
}
CHANCE = "sources.chance"


@dataclasses.dataclass
class Measured(Repeated):
    """One network over its seeds, the same untrained, or a reference, on one algorithm.

    `entries`: rows of faithfulness.json, one per seed; of baselines, which have none, different ones.
    """

    algorithm: str
    label: str  # of the network; "" of references
    kind: str  # trained, untrained, compiled, shuffled
    size: int
    small: int
    samples: int

    @property
    def name(self) -> str:
        """As tables name it."""
        names = {"compiled": "compiled reference", "shuffled": "compiled reference, shuffled"}
        return names.get(self.kind) or (self.label if self.kind == "trained" else f"{self.label}, untrained")

    def probes(self) -> dict[str, str]:
        """The hints that probes were fitted to, with the metric of each."""
        return {name: entry["metric"] for row in self.entries for name, entry in (row["probes"] or {}).items()}


def of_study(study: Study, algorithm: str | None = None) -> list[Measured]:
    """By algorithm and size; networks in the order of their labels, each before its untrained self, references last."""
    found: dict[tuple, dict[Any, Mapping[str, Any]]] = {}
    for run in study.runs:
        content = run.faithfulness or {}
        for row in [*content.get("rows", ()), *content.get("baselines", ())]:
            kind = row["kind"]
            label = run.label if kind in ("trained", "untrained") else ""
            key = row["algorithm"], content["size"], content["small"], content["samples"], not label, label
            # a seed counts once, and so does a baseline that runs share
            which = run.seed if kind == "trained" else json.dumps(row, sort_keys=True)
            found.setdefault((*key, KINDS.index(kind)), {}).setdefault(which, row)
    return [
        Measured(list(rows), list(rows.values()), name, label, KINDS[kind], size, small, samples)
        for (name, size, small, samples, _, label, kind), rows in sorted(found.items(), key=lambda item: item[0])
        if algorithm in (None, name)
    ]
