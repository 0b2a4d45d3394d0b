"""The pictures of a run's report.md, drawn from the dicts of results.json and metrics.jsonl; every function returns a
matplotlib Figure. One family is in each nar/figures_*.py; the figures of report.html are nar/reports/html/chart.py's.
"""

from __future__ import annotations

from nar.reports.figures.parts import (
    BLACK,
    BLUE,
    ERROR_METRICS,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    is_percent,
)
from nar.reports.figures.rollout import hints_against_step, measures
from nar.reports.figures.score import score_against_size
from nar.reports.figures.training import training

__all__ = [
    "BLACK",
    "BLUE",
    "ERROR_METRICS",
    "GREEN",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "YELLOW",
    "hints_against_step",
    "is_percent",
    "measures",
    "score_against_size",
    "training",
]
