"""Inputs of algorithms for tests: sampled ones, and sampled ones disturbed in every way that comes to mind.

Works for any algorithm of the table: what is disturbed are arguments of `run`, whatever they are called.
"""

import hypothesis.strategies as st
import numpy as np

import nar.datasets
from nar.datasets.canonical import CLRS30

REFERENCE = tuple(sorted((*CLRS30, "find_maximum_subarray")))  # what dm-clrs has too

SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e-320, 1e16, -1e16, 1e300, -1e300, np.inf, -np.inf, np.nan)
ODD_SCALARS = (-1, 0, 1, 2, 10**9, 0.5, np.nan, np.inf, True, None, "0", [0], np.int64(1), np.float64(0.25))
OPERATIONS = (
    "special", "special", "copy", "copy", "round", "round", "scale", "negate", "reverse", "sort", "zero", "equal",
    "mirror", "triangle", "shorten", "lengthen", "flatten", "integers", "list", "scalar",
)  # fmt: skip


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


def disturbed(value, operation, rng):
    """An argument of `run` after one operation; as it was where the operation does not apply."""
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return ODD_SCALARS[rng.randint(len(ODD_SCALARS))] if operation == "scalar" else value
    value = value.copy()
    at = tuple(rng.randint(side) for side in value.shape) if value.size else None
    square = value.ndim == 2 and value.shape[0] == value.shape[1]
    if operation == "special" and at is not None:
        value = value.astype(np.float64)
        value[at] = SPECIAL[rng.randint(len(SPECIAL))]
    elif operation == "copy" and at is not None:
        value[at] = value.flat[rng.randint(value.size)]
    elif operation == "round":
        value = np.round(np.nan_to_num(value * 1.0, posinf=9, neginf=-9, nan=5).clip(-1e12, 1e12) * rng.randint(1, 4))
    elif operation == "scale":
        value = np.where(np.isfinite(value), value, 0).clip(-1e290, 1e290) * 10.0 ** rng.randint(-6, 7)
    elif operation == "negate":
        value = -value
    elif operation == "reverse":
        value = value[::-1]
    elif operation == "sort":
        value = np.sort(value, axis=-1)
    elif operation == "zero":
        value = np.where(rng.uniform(size=value.shape) < 0.5, value, 0)
    elif operation == "equal":
        value = np.full_like(value, value.flat[0]) if value.size else value
    elif operation == "mirror" and square:
        value = np.maximum(value, value.T)
    elif operation == "triangle" and square:
        value = np.triu(value, 1)
    elif operation == "shorten":
        value = value[:-1]
    elif operation == "lengthen" and value.size:
        value = np.concatenate([value, value[-1:]])
    elif operation == "flatten":
        value = value.reshape(-1)
    elif operation == "integers" and np.isfinite(value).all() and (np.abs(value) < 1e9).all():
        value = value.astype(np.int64)
    elif operation == "list":
        return value.tolist()
    return value


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
