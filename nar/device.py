"""Which device a run uses, and how its processor is set up for it."""

import contextlib
import functools
import random
import warnings
from collections.abc import Iterator

import numpy as np
import torch

from nar.system import limits

_inside = False  # of `untouched`
_prepared: str | None = None  # the precision of products that `prepare` chose
UNKNOWN = "unknown device {!r}; choose auto, cpu, cuda or cuda:N"


def choose(name: str) -> torch.device:
    """The device of this name (auto: a GPU if there is one); ValueError where it does not exist."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(UNKNOWN.format(name)) from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(UNKNOWN.format(name))
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                f"--device {name}: this PyTorch finds no CUDA device; use --device cpu, or install a CUDA build"
            )
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise ValueError(
                f"--device {name}: there are only {torch.cuda.device_count()} CUDA devices, counted from 0"
            )
    return device


def prepare(device: torch.device, threads: int = 0) -> dict[str, str]:
    """Set threads and matrix products for this process; returns what was chosen, for the record. Within `untouched`,
    all of this ends with it.
    """
    torch.set_num_threads(threads or min(torch.get_num_threads(), limits.cores()))
    if device.type == "cuda":
        if device.index is not None:
            torch.cuda.set_device(device)  # kernels and streams of ours go to the current device
        _products("high")  # TF32: 10 bits of mantissa in products, float32 sums
        return {"matmul": "tf32"}
    precision = "medium" if fast_products_are_exact() else "highest"
    _products(precision)
    return {"matmul": "onednn" if precision == "medium" else "default"}


def _products(precision: str) -> None:
    global _prepared
    _prepared = precision
    torch.set_float32_matmul_precision(precision)


@contextlib.contextmanager
def untouched(dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """While it lasts, no setting of the caller's process changes a result, and afterwards all of them are as before.

    Default dtype, precision of products, autocast, gradients, threads, generators (seeded with 0), what numpy says of
    overflows, warnings (those that are errors are warnings again, unless they are of a single kind). Inside another one
    it does nothing.
    """
    global _inside, _prepared
    if _inside:
        yield
        return
    before = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(), _prepared
    products, states = torch.get_float32_matmul_precision(), (np.random.get_state(), random.getstate())
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    autocast = [torch.autocast(kind, enabled=False) for kind in (["cpu", "cuda"] if gpus else ["cpu"])]
    with contextlib.ExitStack() as stack:
        for context in (
            torch.random.fork_rng(devices=gpus), torch.inference_mode(False), torch.enable_grad(), *autocast,
            np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"), warnings.catch_warnings(),
        ):  # fmt: skip
            stack.enter_context(context)
        if any(rule[0] == "error" and rule[2] is Warning for rule in warnings.filters):
            warnings.simplefilter("default")
        try:
            _inside = True
            torch.set_default_dtype(dtype)
            if before[1].type != "cpu":
                torch.set_default_device(None)
            torch.set_float32_matmul_precision(_prepared or "highest")
            torch.manual_seed(0)
            np.random.seed(0)
            random.seed(0)
            yield
        finally:
            _inside, _prepared = False, before[3]
            torch.set_default_dtype(before[0])
            if before[1].type != "cpu":
                torch.set_default_device(before[1])
            if torch.get_num_threads() != before[2]:
                torch.set_num_threads(before[2])
            torch.set_float32_matmul_precision(products)
            np.random.set_state(states[0])
            random.setstate(states[1])


@contextlib.contextmanager
def tiny_numbers_are_zero() -> Iterator[None]:
    """While it lasts, this thread and those that it starts take numbers below 1.2e-38 (float32) as zero.

    Many processors are far slower with them. Trained networks make a lot of them: the probabilities of soft hints that
    they are sure of, and their gradients.
    """
    before = bool(torch.full((), 1e-39, dtype=torch.float32) * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@functools.cache
def fast_products_are_exact() -> bool:
    """Does PyTorch's `medium` setting keep float32 accuracy on this CPU?

    It sends products to oneDNN, which on CPUs without bfloat16 matrix units computes them in float32, about twice as
    fast as the default library on AMD processors; with such units it would round to bfloat16. The error decides.
    """
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    before = torch.get_float32_matmul_precision()
    errors = {}
    for precision in ("highest", "medium"):
        torch.set_float32_matmul_precision(precision)
        errors[precision] = ((a @ b).double() - exact).abs().max().item()
    torch.set_float32_matmul_precision(before)
    return errors["medium"] <= 4 * errors["highest"]
