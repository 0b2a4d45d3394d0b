"""Traces to look at: of given inputs, of sampled ones, and of specs of one's own."""

import numpy as np

from nar import datasets
from nar.traces.spec import Spec
from nar.traces.trace import Trace


def run(name, **inputs):
    return datasets.get(name).run(**inputs)


def sampled(name, n=5, seed=0):
    algorithm = datasets.get(name)
    return algorithm.run(**algorithm.sample(np.random.RandomState(seed), max(n, algorithm.min_nodes)))


def by_hand(spec, nodes, inputs, hints, outputs, length=2):
    compact = {**inputs, **hints, **outputs}
    return Trace("mine", Spec(spec), nodes, length, {name: np.asarray(compact[name]) for name in spec})


POS = {"pos": ("input", "node", "scalar")}
