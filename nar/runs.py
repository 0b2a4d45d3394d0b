"""A sequence of arrays that seldom change: each change once, and which of them holds at every moment.

Hints on edges are matrices of which most repeat the one before: strongly_connected_components shows a graph and its
transpose for hundreds of moments. numpy and torch arrays alike; nothing here may import torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Runs:
    """An array [T, ...] as `values` [R, ...] and `index` [T]: moment t shows `values[index[t]]`.

    Indexing and `np.asarray` behave like the array that it stands for.
    """

    __slots__ = ("index", "values")

    def __init__(self, values: np.ndarray, index: np.ndarray) -> None:
        self.values, self.index = values, index

    @classmethod
    def of(cls, array: np.ndarray) -> Runs:
        """The same numbers, consecutive equal ones once."""
        changed = np.ones(len(array), bool)
        changed[1:] = (array[1:] != array[:-1]).any(tuple(range(1, array.ndim)))
        return cls(array[changed], np.cumsum(changed) - 1)

    def __getitem__(self, key: Any) -> np.ndarray:
        if not isinstance(key, tuple):
            return self.values[self.index[key]]
        moments, *rest = key
        found = self.values[self.index[moments]]
        return found[(slice(None),) * np.ndim(self.index[moments]) + tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values[self.index].astype(dtype or self.dtype, copy=False)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.values.shape[1:])

    @property
    def ndim(self) -> int:
        return self.values.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.index.nbytes

    def __repr__(self) -> str:
        return f"Runs({len(self)} moments, {len(self.values)} different, {self.dtype}{list(self.values.shape[1:])})"
