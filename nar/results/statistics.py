"""Means over seeds with an interval, and comparisons of two networks seed by seed.

Seeds are the unit: what is resampled are training runs, never graphs, since what is to be said is said of a network and
its training, not of one set of weights; runs of one setting can differ by tens of points.

The interval is a percentile bootstrap interval of the mean, with its percentiles moved outwards for small samples as
Hesterberg proposes (What Teachers Should Know About the Bootstrap, The American Statistician 2015, "expanded
percentile"): the plain percentile interval is too narrow by about sqrt((n - 1) / n) and by the difference between the
normal distribution and Student's t. BCa, the usual refinement, corrects skewness, which three to ten values do not
show, and leaves the narrowness. Of 3,000 samples of n = 5 normal values, the nominal 95% intervals held the true mean
in 83% (percentile), 83% (BCa) and 92% (this one); for n = 10 in 90%, 90% and 95%: benchmarks/interval_coverage.py. With
two or three seeds every one of them can but go from the lowest value to the highest, which holds the mean in 50% and
75%: five seeds are few, three are not enough for 95%.

No resampled interval leaves the range of its values. Up to EXACT seeds nothing is drawn: all resamples are counted.
"""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

EXACT = 8  # up to so many values, all resamples are counted (6,435 of 8 values); above, RESAMPLES are drawn
EXACT_SIGNS = 16  # up to so many pairs, all 2^n choices of signs are
RESAMPLES = 20_000


@dataclass(frozen=True)
class Interval:
    """A mean and where it probably lies; low and high are None for a single value, of which nothing can be said."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Paired:
    """One network against another, over the seeds that both have."""

    difference: Interval  # of first - second
    p: float  # two-sided, of a sign-flip permutation test: how often chance alone gives so large a mean difference
    by_seed: Mapping[int, float]  # first - second, of the seeds that both have

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.by_seed)

    @property
    def least_p(self) -> float:
        """The smallest p that so few pairs can give, however large the difference: 2 / 2^n."""
        return min(1.0, 2.0 ** (1 - len(self.seeds)))


def interval(values: Sequence[float], confidence: float = 0.95, seed: int = 0) -> Interval:
    """Mean and bootstrap interval of the mean. Neither depends on the order of the values; `seed` matters above EXACT.

    ValueError for no values.
    """
    if len(values) == 0:
        raise ValueError("an interval needs at least one value, got none")
    return _interval(tuple(sorted(map(float, values))), confidence, seed)


@functools.lru_cache(maxsize=4096)
def _interval(values: tuple[float, ...], confidence: float, seed: int) -> Interval:
    """The same of sorted values, so that resampling does not depend on the order; kept: reports ask repeatedly."""
    x, n = np.array(values, dtype=np.float64), len(values)
    mean = float(np.clip(math.fsum(x) / n, x[0], x[-1]))  # of equal values, that value and not its neighbour
    if n == 1:
        return Interval(mean, None, None, 1)
    counts, weights = _all_resamples(n) if n <= EXACT else _drawn_resamples(n, seed)
    means = counts / n @ x  # so, a resample of one value n times has that value as its mean
    # the probability to leave out at each end: (1 - confidence) / 2, made smaller for small n
    tail = NormalDist().cdf(math.sqrt(n / (n - 1)) * student_quantile(n - 1, (1 - confidence) / 2))
    low, high = _lowest(means, weights, tail), -_lowest(-means, weights, tail)
    return Interval(mean, min(max(low, x[0]), mean), max(min(high, x[-1]), mean), n)


def paired(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = 0.95, seed: int = 0
) -> Paired | None:
    """`first` - `second`, from values by seed; None where they have no seed in common.

    A seed fixes the training data of a run, so that two networks of one seed have seen the same graphs: differences
    within seeds are less noisy than differences of means. The test asks how often the mean difference would be as
    large, either way, if each difference were as likely to have the other sign.
    """
    by_seed = {s: first[s] - second[s] for s in sorted(first.keys() & second.keys())}
    if not by_seed:
        return None
    differences = list(by_seed.values())
    return Paired(interval(differences, confidence, seed), _sign_flip_p(np.array(differences), seed), by_seed)


@functools.cache
def _all_resamples(n: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each of n values is in each resample, [resamples, n], and the probability of each resample."""
    chosen = np.array(list(itertools.combinations_with_replacement(range(n), n)))
    counts = (chosen[:, :, None] == np.arange(n)).sum(1)
    factorial = np.array([math.factorial(k) for k in range(n + 1)], dtype=np.float64)
    return counts, factorial[n] / factorial[counts].prod(1) / n**n


@functools.lru_cache(maxsize=8)
def _drawn_resamples(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of resamples that are drawn."""
    return np.random.RandomState(seed).multinomial(n, [1 / n] * n, RESAMPLES), np.full(RESAMPLES, 1 / RESAMPLES)


def _lowest(means: np.ndarray, weights: np.ndarray, tail: float) -> float:
    """The smallest value at or below which more than `tail` of the weight lies."""
    order = np.argsort(means, kind="stable")
    index = np.searchsorted(np.cumsum(weights[order]), tail, side="right")
    return float(means[order][min(index, len(means) - 1)])


def student_quantile(freedom: int, probability: float) -> float:
    """The quantile of Student's t distribution with this many degrees of freedom, by bisection."""
    low, high = -1e6, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(freedom, middle) < probability else (low, middle)
    return high


def _student_cdf(freedom: int, t: float) -> float:
    """The distribution function: a finite sum for whole degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (k - 1) / k
    within = math.sin(angle) * total
    return (1 + (2 / math.pi * (angle + within) if odd else within)) / 2


def _sign_flip_p(differences: np.ndarray, seed: int) -> float:
    """The share of choices of signs with a mean at least as far from 0; above EXACT_SIGNS pairs of drawn choices."""
    n = len(differences)
    observed = abs(differences.sum())
    if n <= EXACT_SIGNS:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = np.random.RandomState(seed).choice([-1, 1], (RESAMPLES, n))
        signs[0] = 1  # what was observed is one of the choices, so that p is never 0
    sums = np.abs(signs @ differences)
    return float(np.mean(sums >= observed - 1e-12 * np.abs(differences).sum()))
