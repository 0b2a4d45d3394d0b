"""The sizes of the CLRS protocol for each algorithm: what it is trained, chosen and tested on unless asked otherwise.

The size of a task is what its sampler is given as n: nodes of a graph, elements of an array, characters of text and
pattern together. Most algorithms share the protocol's sizes. The two string matchers have a pattern of n/4 characters
beside a text of n, which makes 5n/4, and are trained at one size; two segments always have four ends.
"""

import dataclasses

import numpy as np

from nar.config import Config
from nar.traces.algorithm import Algorithm

TRAIN_SIZES = (4, 7, 11, 13, 16)
TEST_SIZES = (16, 32, 64, 128, 256)
CANONICAL_SIZE = 64  # test graphs of this size come from the canonical set

# Work of one evaluation (graphs x steps x pairs of nodes) that takes a CPU about ten minutes with the default network.
CPU_LIMIT = 1e9


def sizes(algorithm: Algorithm, of: tuple[int, ...]) -> tuple[int, ...]:
    """The protocol's sizes for this algorithm."""
    if algorithm.fixed_nodes:
        return (algorithm.fixed_nodes,)
    return tuple(n * 5 // 4 for n in of) if algorithm.category == "strings" else of


def canonical_size(algorithm: Algorithm) -> int:
    """The size of the canonical test set."""
    return sizes(algorithm, (CANONICAL_SIZE,))[0]


def resolved(config: Config, algorithm: Algorithm) -> Config:
    """The settings with the protocol's sizes in place of those left open; ValueError where the algorithm needs more."""
    train = config.train_sizes or algorithm.train_sizes or sizes(algorithm, TRAIN_SIZES)
    test = sizes(algorithm, TEST_SIZES) if config.eval_sizes is None else config.eval_sizes
    val = config.val_size or max(train)
    pattern = -algorithm.train_params.get("length_needle", 0)  # of random length up to this, in a text that is longer
    least = max(algorithm.min_nodes, 2 * pattern + 1)
    for name, chosen, need in (
        ("train_sizes", train, least), ("val_size", (val,), least), ("eval_sizes", test, algorithm.min_nodes)
    ):  # fmt: skip
        flag = f"--{name.replace('_', '-')}"
        for size in chosen:
            if size < need:
                raise ValueError(f"{flag} {size}: {algorithm.name} needs at least {need} node(s)")
            if size == 1:
                raise ValueError(f"{flag} 1: a single node leaves nothing to decide; give 2 or more")
    return dataclasses.replace(config, train_sizes=train, val_size=val, eval_sizes=test)


def test_samples(algorithm: Algorithm, size: int) -> int:
    """How many test traces of this size there are by default."""
    return 32 * (algorithm.num_samples_multiplier if size <= canonical_size(algorithm) else 1)


def affordable(algorithm: Algorithm, size: int, samples: int) -> bool:
    """Is a test at this size (0 samples: as many as by default) worth waiting for on a CPU?

    The canonical one always is: without it a run cannot be compared.
    """
    if size <= canonical_size(algorithm):
        return True
    pairs = (samples or test_samples(algorithm, size)) * size * size
    if pairs > CPU_LIMIT:
        return False
    steps = algorithm.run(**algorithm.sample(np.random.RandomState(0), size)).length  # about those of all
    return pairs * steps <= CPU_LIMIT
