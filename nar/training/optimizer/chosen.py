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


def optimizer(config: Config, parameters: Iterable[Tensor]) -> "Adam | Wrapped":
    """That of a run. ValueError for one that does not exist or does not take the settings or the parameters."""
    if config.optimizer == "adam":
        return Adam(parameters, config.learning_rate, config.weight_decay)
    return Wrapped(_find(config.optimizer), parameters, config)


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


class Wrapped:
    """An optimiser with PyTorch's interface behind that of nar's Adam."""

    def __init__(self, kind: Any, parameters: Iterable[Tensor], config: Config) -> None:
        options: dict[str, Any] = {"lr": config.learning_rate}
        if config.weight_decay or "weight_decay" in inspect.signature(kind).parameters:
            options["weight_decay"] = config.weight_decay
        try:
            self.inner = kind(list(parameters), **options)
        except Exception as error:  # the class may be the user's, and so is what it raises
            given = ", ".join(f"{n} {v}" for n, v in options.items())
            raise ValueError(f"--optimizer {config.optimizer} could not be made with {given}: {error}") from error

    def zero_grad(self) -> None:
        self.inner.zero_grad(set_to_none=True)

    def follow(self, config: Config, step: int) -> None:
        if config.learning_rate_schedule != "constant":
            for group in self.inner.param_groups:
                group["lr"] = learning_rate(config, step)

    def step(self) -> None:
        self.inner.step()

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)
