"""Laws of edge weights, by name, and their scale: parameters of every algorithm on weighted graphs.

A law is a function `(rng, shape)` that returns numbers above 0 (0 would mean no edge), about 1 in size; "uniform" is
the reference's own and the only one that takes limits. To add one, write its line of LAWS.
"""

from collections.abc import Callable

import numpy as np

from nar.lookup import suggest
from nar.traces.inputs.arrays import check_range
from nar.traces.inputs.options import number

LOW, HIGH = 0.0, 1.0  # of the uniform law, as in dm-clrs
LARGEST = 1e100  # of scales: far from where products of weights overflow, or vanish and take the edge with them

LAWS: dict[str, Callable[[np.random.RandomState, tuple[int, ...]], np.ndarray]] = {
    "exponential": lambda rng, shape: rng.exponential(size=shape),  # mean 1
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),  # median 1, heavy tail
    "integer": lambda rng, shape: rng.randint(1, 9, size=shape).astype(np.float64),  # 1 to 8: many ties
    "equal": lambda rng, shape: np.ones(shape),  # nothing but ties
}


def draw(
    rng: np.random.RandomState,
    shape: tuple[int, ...],
    *,
    symmetric: bool,
    law: str = "uniform",
    low: float = LOW,
    high: float = HIGH,
    scale: float = 1.0,
) -> np.ndarray:
    """Weights [n, n] for all edges that there might be, or [E] for so many undirected edges alone.

    `scale` multiplies them; low, high limit the uniform law. Symmetric uniform weights are the reference's: geometric
    means of two draws, kept away from 0. For the other laws the two directions of an edge share one draw.
    """
    if law != "uniform" and (not isinstance(law, str) or law not in LAWS):
        raise ValueError(f"law: {suggest('law of weights', str(law), ['uniform', *LAWS])}")
    check_range(low, high)
    number("scale", scale, 1 / LARGEST, LARGEST)
    if law == "uniform" and symmetric and low < 0:
        raise ValueError(f"low must be at least 0 for an undirected graph (weights are geometric means), got {low!r}")
    if law != "uniform" and (low, high) != (LOW, HIGH):
        raise ValueError(f"low and high limit the uniform law alone, got low={low!r}, high={high!r}, law={law!r}")
    matrix = len(shape) == 2
    if law == "uniform":
        W = rng.uniform(low, high, shape)
        if symmetric:
            back = W.T if matrix else rng.uniform(low, high, shape)
            W = np.sqrt(W * back + 1e-3)  # the constant keeps edges: a weight of 0 would mean none
    else:
        W = np.maximum(LAWS[law](rng, shape), 2.0**-53)
        if symmetric and matrix:
            W = np.triu(W) + np.triu(W, k=1).T
    return W if scale == 1 else W * scale
