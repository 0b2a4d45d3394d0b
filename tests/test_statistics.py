"""Intervals and comparisons over seeds: against scipy, against counting every resample, and by what must hold."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nar.results import statistics
from nar.results.statistics import Interval, interval, paired

SCORES = [0.9697, 0.9712, 0.9810, 0.9405, 0.9933, 0.9622, 0.9788, 0.9551, 0.9699, 0.9875, 0.9320, 0.9746]


def widened(n, confidence=0.95):
    """The level of a percentile interval with Hesterberg's correction, from scipy's distributions."""
    t = stats.t.ppf((1 - confidence) / 2, n - 1)
    return 1 - 2 * stats.norm.cdf(math.sqrt(n / (n - 1)) * t)


@pytest.mark.parametrize("n", [5, 7, 8, 9, 12])  # counted up to 8, drawn above
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_interval_is_scipys_percentile_bootstrap_at_the_widened_level(n, confidence):
    values = SCORES[:n]
    ours = interval(values, confidence)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", confidence_level=widened(n, confidence), n_resamples=40_000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert ours.n == n and ours.mean == pytest.approx(np.mean(values), abs=1e-15)
    tolerance = 0.05 * np.std(values)  # two draws of scipy differ by as much
    assert (ours.low, ours.high) == (
        pytest.approx(theirs.low, abs=tolerance), pytest.approx(theirs.high, abs=tolerance)
    )  # fmt: skip


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_few_values_are_resampled_in_every_way_there_is(n):
    values = SCORES[:n]
    means = np.array([np.mean(chosen) for chosen in itertools.product(values, repeat=n)])
    ours = interval(values, 0.8)
    tail = (1 - widened(n, 0.8)) / 2
    # the highest and the lowest value beyond which no more than the tail lies
    assert np.mean(means < ours.low - 1e-12) <= tail < np.mean(means <= ours.low + 1e-12)
    assert np.mean(means > ours.high + 1e-12) <= tail < np.mean(means >= ours.high - 1e-12)


def test_one_value_has_no_interval_and_two_or_three_have_their_range():
    assert interval([0.5]) == Interval(0.5, None, None, 1)
    assert interval([0.7, 0.5]) == Interval(0.6, 0.5, 0.7, 2)
    assert interval([0.5, 0.7, 0.6]) == Interval(0.6, 0.5, 0.7, 3)
    assert interval([0.1] * 3) == Interval(0.1, 0.1, 0.1, 3)  # and not a neighbour of 0.1
    with pytest.raises(ValueError, match="at least one value"):
        interval([])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=11), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_interval_knows_no_order_and_stays_within_its_values(values, random):
    found = interval(values)
    shuffled = list(values)
    random.shuffle(shuffled)
    assert interval(shuffled) == found
    assert found.low is not None and found.high is not None
    assert min(values) <= found.low <= found.mean <= found.high <= max(values)


def test_interval_moves_and_stretches_with_its_values():
    for n in (4, 6, 11):
        one, other = interval(SCORES[:n]), interval([100 - 50 * x for x in SCORES[:n]])
        assert other.mean == pytest.approx(100 - 50 * one.mean)
        if n <= statistics.EXACT:  # resamples that are drawn are not mirrored
            assert (other.low, other.high) == (pytest.approx(100 - 50 * one.high), pytest.approx(100 - 50 * one.low))
        wide, narrow = interval(SCORES[:n], 0.95), interval(SCORES[:n], 0.5)
        assert wide.low <= narrow.low < narrow.high <= wide.high


def test_drawn_resamples_depend_on_the_seed_alone():
    assert interval(SCORES) == interval(SCORES) == interval(SCORES[::-1])
    assert interval(SCORES, seed=1) != interval(SCORES)


def test_five_seeds_hold_the_mean_about_as_often_as_promised():
    values = np.random.RandomState(0).randn(1000, 5)
    found = [interval(row) for row in values]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.90 < covered < 0.96  # the plain percentile interval: 0.84
    plain = stats.bootstrap((values.T,), np.mean, method="percentile", n_resamples=500, rng=np.random.default_rng(0))
    low, high = plain.confidence_interval
    assert np.mean((low <= 0) & (high >= 0)) < 0.87


@pytest.mark.parametrize("freedom", range(1, 13))
@pytest.mark.parametrize("probability", [0.5, 0.1, 0.025, 0.0005])
def test_student_quantiles(freedom, probability):
    assert statistics.student_quantile(freedom, probability) == pytest.approx(
        stats.t.ppf(probability, freedom), rel=1e-9, abs=1e-9
    )


def by_seed(values, first_seed=0):
    return {first_seed + i: value for i, value in enumerate(values)}


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_p_is_that_of_scipys_permutation_test(n):
    random = np.random.RandomState(n)
    for shift in (0.0, 0.5, 2.0):
        first, second = random.randn(n) + shift, np.round(random.randn(n), 1)
        found = paired(by_seed(first), by_seed(second))
        theirs = stats.permutation_test(
            (first, second), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
            n_resamples=np.inf, vectorized=True,
        )  # fmt: skip
        assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)
        assert found.difference == interval(first - second)


def test_p_of_many_pairs_is_drawn():
    random = np.random.RandomState(4)
    first, second = random.randn(18) + 0.5, random.randn(18)
    found = paired(by_seed(first), by_seed(second))
    exact = np.abs(np.array(list(itertools.product([-1, 1], repeat=18))) @ (first - second))
    assert found.p == pytest.approx(np.mean(exact >= abs((first - second).sum()) - 1e-12), abs=0.01)
    assert paired(by_seed(np.full(30, 1.0)), by_seed(np.zeros(30))).p > 0  # what was observed is among the draws


def test_pairs_are_matched_by_seed_and_not_by_place():
    first = {2: 0.9, 0: 0.5, 7: 0.1}
    second = {0: 0.4, 1: 0.0, 2: 0.6}
    found = paired(first, second)
    assert found.seeds == (0, 2)
    assert found.difference == Interval(pytest.approx(0.2), pytest.approx(0.1), pytest.approx(0.3), 2)
    assert found.p == found.least_p == 0.5
    assert paired({0: 1.0}, {1: 1.0}) is None
    alone = paired({3: 1.0}, {3: 0.5})
    assert (alone.p, alone.least_p, alone.difference.low) == (1.0, 1.0, None)


def test_p_by_hand():
    assert paired(by_seed([1, 2, 3]), by_seed([0, 0, 0])).p == 0.25  # +++ and --- of eight
    assert paired(by_seed([1, 2, -3]), by_seed([0, 0, 0])).p == 1.0  # their mean is 0
    assert paired(by_seed([5, 2, -3]), by_seed([0, 0, 0])).p == 0.75  # |10| |6| |4| |0|: of each sign, three of four
    assert paired(by_seed([0.5] * 5), by_seed([0.5] * 5)).p == 1.0
    same = paired(by_seed([0.3, 0.2]), by_seed([0.1, 0.0]))
    reverse = paired(by_seed([0.1, 0.0]), by_seed([0.3, 0.2]))
    assert reverse.difference.mean == -same.difference.mean and reverse.p == same.p
