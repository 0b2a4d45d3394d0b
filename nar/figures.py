"""The pictures of a run's report.md, drawn from the dicts of results.json and metrics.jsonl; every function returns a
matplotlib Figure. One family is in each nar/figures_*.py; the figures of report.html are nar/page_chart.py's.
"""

from __future__ import annotations

from nar.figures_parts import (
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
from nar.figures_rollout import hints_against_step, measures
from nar.figures_score import score_against_size
from nar.figures_training import training

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
