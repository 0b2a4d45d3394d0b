"""How often 95% intervals over few seeds hold the true mean: ours beside scipy's bootstrap, for docs/reports.md.

    python benchmarks/interval_coverage.py            # some minutes; writes interval_coverage.json

Seeds are drawn from a normal distribution and from beta(20, 1), which is skewed like scores near 100%.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from nar.results.statistics import interval

TRIALS, RESAMPLES = 3000, 999
SEEDS = (3, 4, 5, 6, 8, 10)
DISTRIBUTIONS = {"normal": stats.norm(0, 1), "beta(20, 1)": stats.beta(20, 1)}


def ours(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = [interval(row.tolist()) for row in values]
    return np.array([one.low for one in found]), np.array([one.high for one in found])


def scipys(method: str) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    def ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        found = [
            stats.bootstrap((part,), np.mean, axis=1, method=method, n_resamples=RESAMPLES, rng=rng).confidence_interval
            for part in np.array_split(values, 30)
        ]
        return np.concatenate([one.low for one in found]), np.concatenate([one.high for one in found])

    return ends


def main() -> None:
    methods = {"percentile": scipys("percentile"), "BCa": scipys("BCa"), "ours": ours}
    rows = []
    for name, distribution in DISTRIBUTIONS.items():
        for n in SEEDS:
            values = distribution.rvs((TRIALS, n), random_state=np.random.RandomState(n))
            row = {"distribution": name, "seeds": n}
            for method, ends in methods.items():
                low, high = ends(values)
                mean = distribution.mean()
                row[method] = round(float(np.mean((low <= mean + 1e-12) & (high >= mean - 1e-12))), 3)
            print(row, flush=True)
            rows.append(row)
    content = {"trials": TRIALS, "confidence": 0.95, "held the true mean": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
