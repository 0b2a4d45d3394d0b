"""A graph as the list of its edges, in the order in which the sparse layout wants them.

Beside a graph's own edges the list has their reverses and a self-loop on every node: those along which masked
processors send messages in the dense layout, too. They are sorted by receiver and then sender. `weights` says which of
them the graph has: 0 means, as in a matrix of weights, that there is no edge.

Shapes: N nodes, E edges.
"""

import dataclasses
from typing import Any, Self

import numpy as np


@dataclasses.dataclass(eq=False, repr=False)
class SparseGraph:
    """The counterpart of a matrix of weights A; `SparseGraph.of` makes one of plain edges."""

    starts: np.ndarray  # [N + 1], int64: where the edges that arrive at a node begin
    senders: np.ndarray  # [E], int32
    weights: np.ndarray  # [E], float64: A[sender, receiver]
    twins: np.ndarray  # [E], int64: the place of the reverse edge

    @classmethod
    def of(cls, nodes: int, pairs: Any, weights: Any = None, name: str = "graph") -> Self:
        """From edges [2, M] of sender and receiver, each once; weights of 1 where none are given.

        ValueError where an edge names no node, stands there twice, or its weight is 0 or not finite.
        """
        if nodes < 1:
            raise ValueError(f"{name} must have at least one node, got an empty graph")
        pairs = np.asarray(pairs)
        if pairs.size == 0:
            pairs = np.zeros((2, 0), np.int64)
        if pairs.ndim != 2 or len(pairs) != 2 or pairs.dtype.kind not in "iu":
            raise ValueError(
                f"{name} must have its edges as indices of nodes in shape [2, E], got shape {list(pairs.shape)} of "
                f"{pairs.dtype}"
            )
        pairs = pairs.astype(np.int64)
        if pairs.size and not (0 <= pairs.min() and pairs.max() < nodes):
            raise ValueError(
                f"{name} must have edges between its nodes 0 to {nodes - 1}, got indices {pairs.min()} to {pairs.max()}"
            )
        given = pairs[1] * nodes + pairs[0]
        numbers = np.ones(len(given)) if weights is None else np.array(weights, np.float64).reshape(-1)
        if len(numbers) != len(given):
            raise ValueError(f"{name} must have one weight for each of its {len(given)} edges, got {len(numbers)}")
        if (wrong := ~np.isfinite(numbers) | (numbers == 0)).any():
            at = int(wrong.argmax())
            edge = int(pairs[0, at]), int(pairs[1, at])
            raise ValueError(
                f"weight of edge {edge} must be a finite number other than 0 (0 means no edge), got {numbers[at]}"
            )
        loops = np.arange(nodes, dtype=np.int64) * (nodes + 1)
        keys = np.unique(np.concatenate([given, pairs[0] * nodes + pairs[1], loops]))
        place = np.searchsorted(keys, given)
        if len(twice := np.flatnonzero(np.bincount(place, minlength=1) > 1)):
            edge = int(keys[twice[0]] % nodes), int(keys[twice[0]] // nodes)
            raise ValueError(f"{name} must have every edge once, got {edge} several times; join parallel edges first")
        receivers, senders = keys // nodes, keys % nodes
        found = np.zeros(len(keys))
        found[place] = numbers
        starts = np.searchsorted(receivers, np.arange(nodes + 1))
        return cls(starts, senders.astype(np.int32), found, np.argsort(senders, kind="stable"))

    @classmethod
    def of_matrix(cls, A: Any) -> Self:
        """From a matrix of weights, numpy's or one of scipy's sparse ones."""
        if hasattr(A, "tocoo"):
            A = A.tocoo()
            A.sum_duplicates()
            there = A.data != 0
            return cls.of(_side(A.shape), np.stack([A.row[there], A.col[there]]), A.data[there])
        A = np.asarray(A)
        u, v = np.nonzero(A)
        return cls.of(_side(A.shape), np.stack([u, v]), A[u, v])

    def __len__(self) -> int:
        """The number of nodes, as of a matrix."""
        return len(self.starts) - 1

    def __repr__(self) -> str:
        return f"SparseGraph({len(self)} nodes, {np.count_nonzero(self.weights)} edges)"

    @property
    def receivers(self) -> np.ndarray:
        """[E], int32."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))

    @property
    def leaving(self) -> np.ndarray:
        """[E]: of the edges that arrive at u from v, the weight A[u, v] of the way back: rows of the matrix."""
        return self.weights[self.twins]

    @property
    def adjacency(self) -> np.ndarray:
        """[E], int8: the probe `adj`, the graph's own edges and every self-loop."""
        return ((self.weights != 0) | (self.senders == self.receivers)).astype(np.int8)

    def with_weights(self, weights: np.ndarray) -> Self:
        """The same edges with other weights [E]."""
        return dataclasses.replace(self, weights=weights)

    def matrix(self) -> np.ndarray:
        """The matrix of weights [N, N]: of small graphs."""
        A = np.zeros((len(self), len(self)))
        A[self.senders, self.receivers] = self.weights
        return A


def _side(shape: tuple[int, ...]) -> int:
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"A must be a square matrix with at least one node, got shape {shape}")
    return shape[0]
