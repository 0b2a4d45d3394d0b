"""How kernels are launched on CUDA (Triton): their block sizes, found by timing, and what fills a device.

Results are repeatable: no sum is made in the order in which threads happen to arrive. Block sizes are those that were
fastest when a shape was first met; they can change the last bits, so `torch.use_deterministic_algorithms(True)` takes
the first that fit instead, and so does a capture into a CUDA graph that meets a shape for the first time.
"""

import functools
import importlib.util
import os
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch
from torch import Tensor

TIMED_RUNS = 5  # of every candidate for block sizes

BlockSizes = dict[str, int]  # constants of a kernel by name

_chosen: dict[Hashable, BlockSizes] = {}


@functools.cache
def installed() -> bool:
    """Is there Triton?"""
    return importlib.util.find_spec("triton") is not None


def interpreted() -> bool:
    """Do kernels run under Triton's interpreter, on CPU tensors?"""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y") and installed()


def autocast_dtype() -> torch.dtype | None:
    """That of CUDA's autocast, where it is on."""
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None


def cast(*tensors: Tensor | None) -> list[Tensor | None]:
    """Under autocast, everything in autocast's type, as matrix products have it; else unchanged."""
    dtype = autocast_dtype()
    return list(tensors) if dtype is None else [None if t is None else t.to(dtype) for t in tensors]


def precision(dtype: torch.dtype) -> str:
    """How kernels multiply float32 matrices: TF32 where PyTorch's own products may."""
    return "tf32" if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest" else "ieee"


@functools.cache
def multiprocessors(device: torch.device) -> int:
    """Streaming multiprocessors: how many blocks of a kernel it takes to fill the device (1 under the interpreter)."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def splits(blocks: int, length: int, device: torch.device, *, start: int = 2, least: int = 2) -> int:
    """In how many parts to cut a loop of `length` turns which each of `blocks` blocks makes, to fill the device.

    A block costs its turns, and `start` turns' time to begin; no part gets fewer than `least` turns.
    """
    found, best = 1, float("inf")
    for parts in (1, 2, 4, 8, 16):
        turns = -(-length // parts)
        waves = -(-blocks * parts // multiprocessors(device))
        if (turns >= least or parts == 1) and waves * (turns + start) < best:
            found, best = parts, waves * (turns + start)
    return found


def sums(like: Tensor) -> torch.dtype:
    """The type in which kernels add up."""
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def constants(channels: Tensor, like: Tensor) -> dict[str, Any]:
    """What kernels are compiled for, beside block sizes: K edge channels, F features, the type of sums."""
    from triton import language, next_power_of_2

    return {
        "F": like.shape[-1], "K": channels.shape[-1], "BLOCK_F": max(16, next_power_of_2(like.shape[-1])),
        "SUMS": language.float64 if like.dtype == torch.float64 else language.float32,
    }  # fmt: skip


def launch(name: str, key: Hashable, candidates: Iterable[BlockSizes], run: Callable[[BlockSizes], Any]) -> Any:
    """`run(sizes)` with the fastest of the candidates, which is found at the first call with this key and kept.

    `run` may be called several times over. Candidates that need more shared memory than the device has are passed over,
    and so are those that, cut down to a problem, are now the same as others before them.
    """
    if interpreted():
        return run(next(iter(candidates)))
    at = (name, key, torch.cuda.current_device())
    if at in _chosen:
        return run(_chosen[at])
    steady = torch.are_deterministic_algorithms_enabled() or torch.cuda.is_current_stream_capturing()
    tried: list[BlockSizes] = []
    times: list[tuple[float, int]] = []
    for sizes in candidates:
        if sizes in tried:
            continue
        tried.append(sizes)
        milliseconds = _time(run, sizes, 0 if steady else TIMED_RUNS)
        if milliseconds is not None:
            times.append((milliseconds, len(tried) - 1))
            if steady:
                return run(sizes)
    if not times:
        raise ValueError(
            f"no block sizes of the kernel {name} fit on {torch.cuda.get_device_name()} (shape {key}); "
            "run on the CPU (--device cpu) or with a smaller --hidden"
        )
    _chosen[at] = tried[min(times)[1]]
    return run(_chosen[at])


def _time(run: Callable[[BlockSizes], Any], sizes: BlockSizes, runs: int) -> float | None:
    """Milliseconds of `runs` runs after one that compiles; None where the device is too small for it."""
    from triton.runtime.errors import OutOfResources

    try:
        run(sizes)
    except OutOfResources:
        return None
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    if runs == 0:
        return 0.0
    start.record()
    for _ in range(runs):
        run(sizes)
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def grouped(tensor: Tensor) -> tuple[Tensor, int]:
    """The tensor [G, ...] with every group laid out contiguously, and the stride from group to group (0: all share)."""
    if not tensor[0].is_contiguous():
        tensor = tensor.contiguous()
    return tensor, tensor.stride(0) if tensor.shape[0] > 1 else 0
