"""The constants of candidates.py, found in traces: differences that explain many of a number's changes.

An algorithm counts by steps of its own choosing (a clock that goes on by 0.01, a length that grows by 1). They are not
given to the model: they are the differences between a number after a step and what it could have been made of before,
of which a few account for most changes.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nar.model.batch import Batch
from nar.model.coders.encoder import dense
from nar.model.options.candidates import CONSTANTS, Candidates
from nar.model.options.relation_kinds import shift
from nar.traces.spec import Location

ENOUGH = 0.03  # share of the changes that a constant must explain
DIGITS = 5


@torch.no_grad()
def find_constants(candidates: nn.ModuleDict, batches: Sequence[Batch]) -> None:
    """Fill in the constants of every hint's candidates from the first two snapshots of batches of parts of traces."""
    for module in candidates.values():
        assert isinstance(module, Candidates)
        counts: Counter[float] = Counter()
        for batch in batches:
            counts.update(differences(module, batch))
        changes = sum(counts.values())
        found = [value for value, count in counts.most_common(CONSTANTS) if count > ENOUGH * changes and value != 0]
        module.constants[: len(found)] = torch.tensor(found, dtype=module.constants.dtype)


def differences(module: Candidates, batch: Batch) -> list[float]:
    """Between what changed and each of the numbers that constants are added to, rounded."""
    parts = batch.schedule.num_with_hint(0)
    if parts == 0:
        return []
    before, after = (batch.hints[module.name][moment, :parts].double() for moment in (0, 1))
    changed = (after - before).abs() > 10**-DIGITS
    bases: list[Tensor] = [before]
    if batch.spec[module.name].location is Location.NODE:
        bases += [batch.hints[g][0, :parts].double().unsqueeze(1) for g in module.gs if g in batch.hints]
    elif batch.spec[module.name].location is Location.EDGE:
        for name in module.lists:
            pointer = dense(batch.spec[name], batch.inputs[name][:parts], batch.nodes, torch.float64)
            above, left = shift(before, pointer)
            bases += [above, left, shift(above, pointer)[1]]
    return [d for base in bases for d in (after - base)[changed].mul(10**DIGITS).round().div(10**DIGITS).tolist()]
