"""The optimiser that the settings name: nar's Adam, a class of torch.optim, or one's own."""

import inspect
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from nar import lookup
from nar.config import Config
from nar.training.optimizer.adam import Adam
from nar.training.optimizer.schedule import learning_rate

EXAMPLE = "--optimizer my_module:MyOptimizer"
UNFIT = ("Optimizer", "LBFGS", "SparseAdam")  # no optimiser; asks for the loss several times; for sparse gradients


def optimizer(config: Config, parameters: Iterable[Tensor]) -> Any:
    """That of a run: nar's Adam, or one with PyTorch's interface, which is Adam's but for the step size.

    ValueError for one that does not exist or does not take the settings or the parameters.
    """
    if config.optimizer == "adam":
        return Adam(parameters, config.learning_rate, config.weight_decay)
    kind, options = _find(config.optimizer), {"lr": config.learning_rate}
    if config.weight_decay or "weight_decay" in inspect.signature(kind).parameters:
        options["weight_decay"] = config.weight_decay
    try:
        return kind(list(parameters), **options)
    except Exception as error:  # the class may be the user's, and so is what it raises
        given = ", ".join(f"{n} {v}" for n, v in options.items())
        raise ValueError(f"--optimizer {config.optimizer} could not be made with {given}: {error}") from error


def follow(optimizer: Any, config: Config, step: int) -> None:
    """Have it take the step size that the settings have for this step."""
    if config.learning_rate_schedule == "constant":
        return
    if isinstance(optimizer, Adam):
        optimizer.set_learning_rate(learning_rate(config, step))
    else:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)


def _find(name: str) -> Any:
    if ":" in name:
        if not isinstance(kind := lookup.addressed("optimizer", name, EXAMPLE), type):
            raise ValueError(
                f"optimizer {name!r} is not a class; it takes parameters and lr, as those of torch.optim do"
            )
        return kind
    import torch.optim  # with its compiler, a second: not for Adam

    classes = {n: k for n, k in vars(torch.optim).items() if isinstance(k, type) and n not in UNFIT}
    found = {n.lower(): k for n, k in classes.items()}
    if name.lower() not in found:
        raise ValueError(
            lookup.suggest("optimizer", name, [*classes, "adam"], f"or a class of your own, as in {EXAMPLE}")
        )
    return found[name.lower()]
