"""The step size of every step.

`one_cycle` is Smith and Topin's (2018, arXiv 1708.07120) as torch.optim.lr_scheduler.OneCycleLR has it, along cosines,
but for the momentum, which stays as it is: a CUDA graph could not follow it. `cosine` is SGDR's without restarts
(Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983), as CosineAnnealingLR has it.
"""

import math

from nar.config import Config

WARM_UP = 0.1  # share of the steps of one cycle in which the step size rises
START, END = 1 / 25, 1 / 250_000  # where it begins and ends, over the largest


def learning_rate(config: Config, step: int) -> float:
    """The step size of a step, from 0: a pure function of the settings and the step, so that runs can be resumed."""
    largest, peak, last = config.learning_rate, WARM_UP * config.steps - 1, config.steps - 1
    if config.learning_rate_schedule == "constant":
        return largest
    if config.learning_rate_schedule == "cosine":
        return _cosine(largest, 0.0, step / config.steps)
    if step <= peak:
        return _cosine(START * largest, largest, step / peak if peak else 1.0)
    return _cosine(largest, END * largest, (step - peak) / (last - peak))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
