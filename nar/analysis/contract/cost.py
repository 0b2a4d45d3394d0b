"""How a processor's work grows with the number of nodes N: counted (dry_run.py), against what it declares."""

from __future__ import annotations

import re

import torch

from nar.analysis.contract import dry_run
from nar.analysis.contract.fixture import Fixture
from nar.analysis.contract.outcome import Failed, declares

COST_FROM = (64, 512)  # nodes from which the work is counted; the second where lower terms hide the first's answer
COST_REAL = 16  # the same for processors that have to be computed to be counted
COST_OFF = 0.35  # by how much the counted exponent may miss the declared one


def order(cost: str) -> float | None:
    """The exponent of a declared cost: N, N^2, N log N, N^2 log N ...; None where it is not of that form."""
    found = re.match(r"(?:O\()?N(?:\^(\d+(?:\.\d+)?))?( log N)?\b", cost)
    if found is None:
        return None
    return float(found[1] or 1) + (0.2 if found[2] else 0.0)  # about what a logarithm adds at these sizes


def cost(fixture: Fixture) -> str:
    """The work of a step grows with the number of nodes as declared."""
    processor = fixture.build(torch.float32)
    declared, measured, nodes = order(processor.cost), 0.0, 0
    try:
        for nodes in COST_FROM:
            measured = dry_run.exponent(processor, nodes)
            if declared is None or abs(measured - declared) <= COST_OFF:
                break
    except (*dry_run.WAITS, AssertionError, RuntimeError):  # it needs numbers: smaller graphs, really computed
        nodes = COST_REAL
        measured = dry_run.exponent(processor, nodes, fake=False)
    text = f"operations grow like N^{measured:.2f} from {nodes} to {4 * nodes} nodes, declared {processor.cost}"
    if declared is None:
        return f"{text} (not compared: N, N^2, N log N ... are)"
    if abs(measured - declared) > COST_OFF:
        said = "" if declares(processor, "cost") else " by default"
        whole = max(round(measured), 1)
        raise Failed(f'{text}{said}: declare cost = "N{f"^{whole}" if whole > 1 else ""}"')
    return text
