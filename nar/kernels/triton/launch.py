"""Fused operations on CUDA (Triton): which tensors they take, with which block sizes they run.

    message_pool     messages.py    max or sum over senders of the message MLP
    pointer_scores   pointers.py    w max(a_i, c_j + X[j, i] We + E[j, i])
    max_plus         max_plus.py    max over i of left[i, j] + right[i, k]

All three take models stacked for torch.vmap: the axis over which vmap maps becomes one more axis of the launch.
Triton is imported at the first use, so everything here works without it. With the environment variable
TRITON_INTERPRET=1 (set before Python starts) the same kernels run on the CPU under Triton's interpreter, far more
slowly, and in float32 only (it multiplies bf16's bits as integers): that is for tests.

Results are repeatable: no sum is made in the order in which threads happen to arrive. Block sizes are those that were
fastest when a shape was first met; they can change the last bits, so `torch.use_deterministic_algorithms(True)` takes
the first that fit instead, and so does a capture into a CUDA graph that meets a shape for the first time.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16)
MOST_NODES = 2**15 - 1  # senders are kept as 16-bit integers
MOST_FEATURES = 256
MOST_CHANNELS = 16
TIMED_RUNS = 5  # of every candidate for block sizes

Config = dict[str, int]

_chosen: dict[Hashable, Config] = {}


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def interpreted() -> bool:
    """Do kernels run under Triton's interpreter, on CPU tensors?"""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y") and _installed()


def usable(*tensors: Tensor) -> bool:
    """Can the fused CUDA kernels take these tensors [B, N, ..., features or channels]? Others go the plain way."""
    kinds = {t.device.type for t in tensors}
    if not (kinds == {"cuda"} or (kinds == {"cpu"} and interpreted())) or torch.compiler.is_compiling():
        return False
    types, taken = {t.dtype for t in tensors}, DTYPES[:1] if interpreted() else DTYPES
    one_type = len(types) == 1 and types.issubset(taken)
    return (
        (one_type or (_autocast() in DTYPES and types.issubset(DTYPES)))
        and all(0 < t.shape[1] <= MOST_NODES and t.shape[-1] <= MOST_FEATURES and t.shape[0] > 0 for t in tensors)
        and all(t.dim() < 4 or t.shape[-1] <= MOST_CHANNELS for t in tensors)
        and _installed()
    )


def _autocast() -> torch.dtype | None:
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None


def cast(*tensors: Tensor | None) -> list[Tensor | None]:
    """Under autocast, everything in autocast's type, as matrix products have it; else unchanged."""
    dtype = _autocast()
    return list(tensors) if dtype is None else [None if t is None else t.to(dtype) for t in tensors]


def message_pool(*arguments: Any, how: str = "max") -> Tensor:
    """See messages.py."""
    from nar.kernels.triton import messages

    return messages.message_pool(*arguments, how=how)


def pointer_scores(*arguments: Any) -> Tensor:
    """See pointers.py."""
    from nar.kernels.triton import pointers

    return pointers.pointer_scores(*arguments)


def max_plus(left_BNNF: Tensor, right_BNNF: Tensor) -> Tensor:
    """See max_plus.py."""
    from nar.kernels.triton import max_plus as triton_max_plus

    return triton_max_plus.max_plus(left_BNNF, right_BNNF)


def precision(dtype: torch.dtype) -> str:
    """How kernels multiply float32 matrices: TF32 where PyTorch's own products may."""
    return "tf32" if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest" else "ieee"


@functools.cache
def processors(device: torch.device) -> int:
    """Streaming multiprocessors: how many blocks of a kernel it takes to fill the device (1 under the interpreter)."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def splits(blocks: int, length: int, device: torch.device, *, start: int = 2, least: int = 2) -> int:
    """In how many parts to cut a loop of `length` turns which each of `blocks` blocks makes, to fill the device.

    A block costs its turns, and `start` turns' time to begin; no part gets fewer than `least` turns.
    """
    found, best = 1, float("inf")
    for parts in (1, 2, 4, 8, 16):
        turns = -(-length // parts)
        waves = -(-blocks * parts // processors(device))
        if (turns >= least or parts == 1) and waves * (turns + start) < best:
            found, best = parts, waves * (turns + start)
    return found


def distinct(candidates: Iterable[Config]) -> list[Config]:
    """Block sizes that were cut down to a problem, without those that are now the same as others before them."""
    found: list[Config] = []
    for config in candidates:
        if config not in found:
            found.append(config)
    return found


def launch(name: str, key: Hashable, candidates: Sequence[Config], run: Callable[[Config], Any]) -> Any:
    """`run(config)` with the fastest of the candidates, which is found at the first call with this key and kept.

    `run` may be called several times over. Candidates that need more shared memory than the device has are passed over.
    """
    if interpreted():
        return run(candidates[0])
    at = (name, key, torch.cuda.current_device())
    if at in _chosen:
        return run(_chosen[at])
    steady = torch.are_deterministic_algorithms_enabled() or torch.cuda.is_current_stream_capturing()
    times: list[tuple[float, int]] = []
    for number, config in enumerate(candidates):
        milliseconds = _time(run, config, 0 if steady else TIMED_RUNS)
        if milliseconds is not None:
            times.append((milliseconds, number))
            if steady:
                return run(config)
    if not times:
        raise ValueError(
            f"no block sizes of the kernel {name} fit on {torch.cuda.get_device_name()} (shape {key}); "
            "run on the CPU (--device cpu) or with a smaller --hidden"
        )
    _chosen[at] = candidates[min(times)[1]]
    return run(_chosen[at])


def _time(run: Callable[[Config], Any], config: Config, runs: int) -> float | None:
    """Milliseconds of `runs` runs after one that compiles; None where the device is too small for it."""
    from triton.runtime.errors import OutOfResources

    try:
        run(config)
    except OutOfResources:
        return None
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    if runs == 0:
        return 0.0
    start.record()
    for _ in range(runs):
        run(config)
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def grouped(tensor: Tensor) -> tuple[Tensor, int]:
    """The tensor [G, ...] with every group laid out contiguously, and the stride from group to group (0: all share)."""
    if not tensor[0].is_contiguous():
        tensor = tensor.contiguous()
    return tensor, tensor.stride(0) if tensor.shape[0] > 1 else 0
