"""For tests of algorithms that optimise: small numbers, how many examples are tried, names, hints as lists."""

import hypothesis
import hypothesis.strategies as st
import numpy as np

SUBARRAYS = ("find_maximum_subarray", "find_maximum_subarray_kadane")

many = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
small = st.integers(0, 4)


def column(trace, name):
    return np.asarray(trace.compact[name]).tolist()
