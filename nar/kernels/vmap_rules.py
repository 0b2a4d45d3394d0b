"""How nar's own autograd functions behave under torch.vmap, by which stacked parameters of several seeds are trained.

Compiled kernels cannot see through the tensors that vmap hands out, so every function brings its own rule, made of one
of these two. Gradients are taken outside: torch.vmap(f)(stacked).sum().backward().

A rule returns a tuple of fewer results than the function: those that only its own backward reads need no stacking.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Operation(torch.autograd.Function):
    """An autograd function of nar's own, called with all of its arguments, by place.

    It returns a tuple. `rule`: one of the rules below, as a staticmethod; `results`: how many of the results it stacks.
    """

    rule: Callable[..., Any] | None = None
    results = 1

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if (rule := cls.rule) is not None:
            cls.vmap = staticmethod(lambda info, in_dims, *arguments: rule(cls, in_dims, arguments, cls.results))
        # PyTorch binds arguments to the signature at every call, which takes longer than small kernels
        parameters = inspect.signature(cls.forward).parameters.values()  # torch.compile counts them
        cls.forward.__signature__ = _AsGiven(list(parameters))  # type: ignore[attr-defined]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep all tensors that came in, then all results but the first, which alone has a gradient."""
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(len(output) == 1)  # zeros in the place of gradients that there are none of
        ctx.save_for_backward(*(x for x in inputs if x is None or isinstance(x, Tensor)), *output[1:])


class _AsGiven(inspect.Signature):
    """Of a function whose arguments need no binding."""

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        return _Given(args, kwargs)


class _Given(NamedTuple):
    args: tuple
    kwargs: dict[str, Any]

    def apply_defaults(self) -> None:
        """There are none."""


class Gradients(Operation):
    """What the backward pass of an operation computes, where that is mapped by torch.vmap in turn."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError("fused operations have no second derivatives")


def contiguous(*tensors: Tensor | None) -> Any:
    """All of them, laid out as kernels read them; None stays."""
    return [None if t is None else t.contiguous() for t in tensors]


def one_by_one(
    function: type[torch.autograd.Function], in_dims: Sequence[int | None], arguments: Sequence[Any], results: int = 1
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Apply the function once for every entry of the mapped axis; for those that have parameters."""
    copies = next(a.shape[dim] for a, dim in zip(arguments, in_dims, strict=True) if dim is not None)
    # unbind, not indexing: its backward stacks the gradients once instead of adding up as many full tensors
    columns = [
        [argument] * copies if dim is None else argument.unbind(dim)
        for argument, dim in zip(arguments, in_dims, strict=True)
    ]
    found = [_tuple(function.apply(*row))[:results] for row in zip(*columns, strict=True)]
    return tuple(torch.stack(parts) for parts in zip(*found, strict=True)), (0,) * results


def folded(
    function: type[torch.autograd.Function], in_dims: Sequence[int | None], arguments: Sequence[Any], results: int = 1
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Apply the function once, the mapped axis folded into the graphs' (the first of every tensor)."""
    copies = next(a.shape[dim] for a, dim in zip(arguments, in_dims, strict=True) if dim is not None)

    def fold(argument: Any, dim: int | None) -> Any:
        if not isinstance(argument, Tensor):
            return argument
        whole = argument.expand(copies, *argument.shape) if dim is None else argument.movedim(dim, 0)
        return whole.flatten(0, 1)

    found = function.apply(*(fold(argument, dim) for argument, dim in zip(arguments, in_dims, strict=True)))
    return tuple(part.unflatten(0, (copies, -1)) for part in _tuple(found)[:results]), (0,) * results


def _tuple(found: Any) -> tuple[Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)
