"""Where to draw the nodes of a graph: stress majorisation (Gansner, Koren and North 2004), the same place every time.

numpy only, and no random numbers of the caller's: nothing here may import torch.
"""

import numpy as np

_READABLE = 0.12  # of the picture's side between a node and what is not its own


def nodes_in_a_box(edges: np.ndarray, side: float, xy: np.ndarray | None = None) -> np.ndarray:
    """Positions [n, 2] in a square of this side, with margins for labels: laid out, or the given points, scaled."""
    at = layout(edges) if xy is None else np.asarray(xy, float)
    low, high = at.min(0), at.max(0)
    margin = np.array([0.28, 0.34])
    room = side - 2 * margin
    if xy is not None:  # the plane is not stretched
        scale = min(room / np.maximum(high - low, 1e-12))
        return side / 2 + (at - (low + high) / 2) * (scale if (high > low).any() else 0.0)
    return margin + (at - low) / np.maximum(high - low, 1e-9) * room


def layout(edges: np.ndarray) -> np.ndarray:
    """Positions whose distances resemble the lengths of shortest paths, of several the one that reads best.

    Edges are taken as undirected; parts that are not connected stand a little apart.
    """
    n = len(edges)
    angle = 2 * np.pi * np.arange(n) / max(1, n)
    circle = np.stack([np.sin(angle), np.cos(angle)], -1)
    if n < 3:
        return circle
    edges = edges | edges.T
    hops = _hops(edges)
    rng = np.random.RandomState(0)
    starts = [circle, *(rng.uniform(-1, 1, (n, 2)) for _ in range(5 if n <= 32 else 0))]
    candidates = [_majorise(start, hops) for start in starts]
    if n <= 12:
        candidates.append(circle)
    return max(candidates, key=lambda at: _clearance(at, edges))


def _hops(edges: np.ndarray) -> np.ndarray:
    """Length of the shortest path between all pairs; a little more than the longest where there is none."""
    n = len(edges)
    hops = np.where(np.eye(n, dtype=bool), 0.0, np.where(edges, 1.0, np.inf))
    for k in range(n):
        hops = np.minimum(hops, hops[:, k : k + 1] + hops[k : k + 1])
    longest = hops[np.isfinite(hops)].max(initial=1.0)
    return np.where(np.isfinite(hops), hops, min(longest + 0.5, 3.0))


def _majorise(at: np.ndarray, hops: np.ndarray, rounds: int = 150) -> np.ndarray:
    """Every round moves all nodes to the optimum of a quadratic bound of the stress (weights hops ** -2)."""
    n = len(at)
    weight = np.where(hops > 0, 1 / np.maximum(hops, 1e-9) ** 2, 0.0)
    inverse = np.linalg.pinv(np.diag(weight.sum(1)) - weight)
    for _ in range(rounds):
        distance = np.linalg.norm(at[:, None] - at[None], axis=-1)
        ratio = -weight * hops / np.maximum(distance, 1e-9)
        ratio[np.arange(n), np.arange(n)] = 0
        ratio[np.arange(n), np.arange(n)] = -ratio.sum(1)
        at = inverse @ (ratio @ at)
    return at


def _clearance(at: np.ndarray, edges: np.ndarray) -> float:
    """How near a node comes to another or to an edge that is not its own, in shares of the picture.

    Capped where it is far enough to be read: of layouts that all are, the first is taken.
    """
    span = np.maximum(at.max(0) - at.min(0), 1e-9)
    at = (at - at.min(0)) / span
    n = len(at)
    apart = np.linalg.norm(at[:, None] - at[None], axis=-1)[~np.eye(n, dtype=bool)].min()
    u, v = np.nonzero(np.triu(edges, 1))
    if not len(u):
        return min(apart, _READABLE)
    along = at[v] - at[u]
    share = ((at[:, None] - at[u]) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    gap = np.linalg.norm(at[:, None] - (at[u] + np.clip(share, 0, 1)[..., None] * along), axis=-1)
    gap[u, np.arange(len(u))] = gap[v, np.arange(len(v))] = np.inf
    return min(apart, 1.5 * gap.min() if n <= 32 else np.inf, _READABLE)
