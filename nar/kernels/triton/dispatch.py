"""Fused operations on CUDA (Triton), and which tensors they take.

    message_pool     messages.py    max or sum over senders of the message MLP
    pointer_scores   pointers.py    w max(a_i, c_j + X[j, i] We + E[j, i])
    max_plus         max_plus.py    max over i of left[i, j] + right[i, k]

All three take models stacked for torch.vmap: the axis over which vmap maps becomes one more axis of the launch.
Triton is imported at the first use, so everything here works without it. With the environment variable
TRITON_INTERPRET=1 (set before Python starts) the same kernels run on the CPU under Triton's interpreter, far more
slowly, and in float32 only (it multiplies bf16's bits as integers): that is for tests.
"""

from typing import Any

import torch
from torch import Tensor

from nar.kernels.triton.launch import autocast_dtype, installed, interpreted

DTYPES = (torch.float32, torch.bfloat16)
MOST_NODES = 2**15 - 1  # senders are kept as 16-bit integers
MOST_FEATURES = 256
MOST_CHANNELS = 16


def usable(*tensors: Tensor) -> bool:
    """Can the fused CUDA kernels take these tensors [B, N, ..., features or channels]? Others go the plain way."""
    kinds = {t.device.type for t in tensors}
    if not (kinds == {"cuda"} or (kinds == {"cpu"} and interpreted())) or torch.compiler.is_compiling():
        return False
    types, taken = {t.dtype for t in tensors}, DTYPES[:1] if interpreted() else DTYPES
    one_type = len(types) == 1 and types.issubset(taken)
    return (
        (one_type or (autocast_dtype() in DTYPES and types.issubset(DTYPES)))
        and all(0 < t.shape[1] <= MOST_NODES and t.shape[-1] <= MOST_FEATURES and t.shape[0] > 0 for t in tensors)
        and all(t.dim() < 4 or t.shape[-1] <= MOST_CHANNELS for t in tensors)
        and installed()
    )


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
