"""Arrays that seldom change: each value once, and which of them holds at every moment.

Hints on edges are matrices of which most repeat the one before: strongly_connected_components shows a graph and its
transpose for hundreds of moments. A trace has an index [T]; a batch one of [T, B] into the values of all its samples.
numpy and torch arrays alike; nothing here may import torch.
"""

from typing import Any, Self

import numpy as np


class RunLengthArray:
    """The array [*index axes, ...] that shows `values[index[t]]` at t; `values` [R, ...] holds every change once.

    Indexing and `np.asarray` behave like the array that it stands for.
    """

    __slots__ = ("index", "values")

    def __init__(self, values: Any, index: Any) -> None:
        self.values, self.index = values, index

    @classmethod
    def of(cls, array: np.ndarray) -> Self:
        """The same numbers [T, ...], consecutive equal ones once."""
        changed = np.ones(len(array), bool)
        changed[1:] = (array[1:] != array[:-1]).any(tuple(range(1, array.ndim)))
        return cls(array[changed], np.cumsum(changed) - 1)

    def __getitem__(self, key: Any) -> Any:
        key = key if isinstance(key, tuple) else (key,)
        moments, rest = key[: self.index.ndim], key[self.index.ndim :]
        index = self.index[moments]
        found = self.values[index]
        return found[(slice(None),) * index.ndim + rest] if rest else found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.values[self.index], dtype)

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: Any, *, non_blocking: bool = False) -> Self:
        """The same on another device (of torch tensors)."""
        return type(self)(
            self.values.to(device, non_blocking=non_blocking), self.index.to(device, non_blocking=non_blocking)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.index.shape, *self.values.shape[1:])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.index.nbytes

    def __repr__(self) -> str:
        return f"RunLengthArray(shape={self.shape}, dtype={self.dtype}, {len(self.values)} values)"
