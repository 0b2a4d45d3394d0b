"""Inputs of algorithms for tests: sampled ones, and sampled ones disturbed in every way that comes to mind.

Works for any algorithm of the table: what is disturbed are arguments of `run`, whatever they are called.
"""

import hypothesis.strategies as st
import numpy as np

import nar.datasets
from nar.analysis.algorithm_contract.disturbed import OPERATIONS, disturbed
from nar.datasets.canonical import CLRS30

REFERENCE = tuple(sorted((*CLRS30, "find_maximum_subarray")))  # what dm-clrs has too


def size(algorithm, n):
    """`n`, or what the sampler needs at least."""
    return max(n, algorithm.min_nodes)


def sampled(name, n, seed, *, train=False):
    """An algorithm, arguments of its `run`, and the trace."""
    algorithm = nar.datasets.get(name)
    params = algorithm.train_params if train else {}
    if train and algorithm.train_sizes:  # a pattern of random length needs room
        n = max(n, algorithm.train_sizes[0])
    inputs = algorithm.sample(np.random.RandomState(seed), size(algorithm, n), **params)
    return algorithm, inputs, algorithm.run(**inputs)


def examples(name, sizes=(1, 2, 3, 5, 8, 16), seeds=range(6)):
    """Sampled inputs with their traces, from the test's and the training's distribution in turn."""
    for n in sizes:
        for seed in seeds:
            yield sampled(name, n, seed, train=seed % 2 == 1)


def outputs(trace):
    """Outputs in compact form."""
    return {name: trace.compact[name] for name in trace.spec.outputs}


def hints(trace, name):
    """One probe in compact form, every moment of it, as an array."""
    return np.asarray(trace.compact[name])


def run(name, *values):
    """The trace of an algorithm on arguments in their order."""
    algorithm = nar.datasets.get(name)
    return algorithm.run(**dict(zip(algorithm.arguments, values, strict=True)))


def valid(name, values, answer):
    """Whether this is an answer for the one output of an algorithm."""
    algorithm = nar.datasets.get(name)
    (output,) = algorithm.spec.outputs
    return algorithm.is_valid(dict(zip(algorithm.arguments, values, strict=True)), {output: np.array(answer)})


def hint_rows(trace, *left_out):
    """One row per moment: every hint in the spec's order but those left out, arrays as lists."""
    columns = [np.asarray(trace.compact[name]).tolist() for name in trace.spec.hints if name not in left_out]
    return [list(row) for row in zip(*columns, strict=True)]


@st.composite
def any_inputs(draw, name):
    """Arguments of `run` of any kind, but often enough of the right one for answers to come up."""
    algorithm = nar.datasets.get(name)
    rng = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    inputs = algorithm.sample(rng, size(algorithm, draw(st.integers(1, 7))))
    for operation in draw(st.lists(st.sampled_from(OPERATIONS), max_size=4)):
        argument = draw(st.sampled_from(sorted(inputs)))
        every = operation in ("shorten", "lengthen", "reverse") and draw(st.booleans())  # keep lengths equal
        inputs = {k: disturbed(v, operation, rng) if every or k == argument else v for k, v in inputs.items()}
    return inputs
