"""Adam (Kingma and Ba, ICLR 2015, arXiv 1412.6980), without what torch.optim loads to be compilable.

With weight decay it is AdamW (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101).

Making any of PyTorch's optimisers imports its compiler: 145 MB and a second, a third of what training a small model
takes. The update itself is PyTorch's fused kernel, for all parameters at once; states have torch.optim.Adam's form, so
that either reads the checkpoints of the other.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

BETAS, EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """`step()` changes every parameter that has a gradient; the moments of the others stand still."""

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._rate: Tensor | None = None  # the learning rate where a CUDA graph reads it, once it has been changed
        self.state: dict[int, dict[str, Tensor]] = {}  # by place among the parameters

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def set_learning_rate(self, value: float) -> None:
        """Of the steps from now on, those of CUDA graphs included that were recorded since it was first set."""
        self.learning_rate = value
        if self.parameters and self.parameters[0].device.type == "cuda":
            if self._rate is None:
                self._rate = torch.empty((), dtype=torch.float32, device=self.parameters[0].device)
            self._rate.fill_(value)

    @torch.no_grad()
    def step(self) -> None:
        """One update. On a GPU nothing waits, and a CUDA graph can record it, once every parameter has a state."""
        places = [place for place, parameter in enumerate(self.parameters) if parameter.grad is not None]
        if not places:
            return
        for place in places:
            if place not in self.state:
                parameter = self.parameters[place]
                self.state[place] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[place] for place in places]
        counts = [state["step"] for state in states]
        torch._foreach_add_(counts, 1)  # pyright: ignore[reportPrivateImportUsage]
        update: Any = torch._fused_adamw_ if self.weight_decay else torch._fused_adam_  # pyright: ignore[reportPrivateImportUsage]
        update(
            [self.parameters[place] for place in places],
            [self.parameters[place].grad for place in places],  # type: ignore[arg-type]
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            counts,
            lr=self.learning_rate if self._rate is None else self._rate, beta1=BETAS[0], beta2=BETAS[1],
            weight_decay=self.weight_decay, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """In the form of torch.optim.Adam, or of AdamW."""
        group = {
            "lr": self.learning_rate, "betas": BETAS, "eps": EPSILON, "weight_decay": self.weight_decay or 0,
            "decoupled_weight_decay": self.weight_decay > 0, "amsgrad": False, "maximize": False, "foreach": None,
            "capturable": False, "differentiable": False, "fused": True, "params": list(range(len(self.parameters))),
        }  # fmt: skip
        return {"state": {place: dict(state) for place, state in self.state.items()}, "param_groups": [group]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse; tensors go where their parameters are."""
        self.state = {}
        for place, values in state["state"].items():
            like = self.parameters[place]
            self.state[place] = {
                name: torch.as_tensor(value).to(like.device, torch.float32 if name == "step" else like.dtype).clone()
                for name, value in values.items()
            }
