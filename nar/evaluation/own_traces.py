"""Training on traces of your own: archives in a folder (nar/traces/formats/npz.py) in the place of drawn ones.

One in ten traces of each size, the last one counted, is left out of the training; those of the largest size choose the
checkpoint. Every file of the folder that ends in .npz is read, in the order of their names, and kept in memory.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nar.config import Config
from nar.text_format import listed
from nar.traces.algorithm import Algorithm
from nar.traces.formats import npz
from nar.traces.trace import Trace

LEFT_OUT = 10  # one in so many is kept for validation


@functools.lru_cache(maxsize=16)
def read(folder: Path, algorithm: Algorithm) -> Mapping[int, Sequence[Trace]]:
    """The traces of an algorithm in a folder, by number of nodes; ValueError where there are none, or other ones."""
    if not folder.is_dir():
        raise ValueError(f"--traces {folder}: no such folder; it holds archives of traces, made by nar's npz.save")
    found: dict[int, list[Trace]] = {}
    others = set()
    for file in sorted(folder.glob("*.npz")):
        about = npz.describe(file)
        if about["algorithm"] != algorithm.name:
            others.add(about["algorithm"])
            continue
        if about["spec"] != algorithm.spec:
            raise ValueError(
                f"{file}: its traces of {algorithm.name} have another spec than the algorithm that is here"
            )
        for trace in npz.load(file):
            found.setdefault(trace.nodes, []).append(trace)
    if not found:
        held = f"of {listed(sorted(others))} only" if others else "at all"
        raise ValueError(f"--traces {folder}: no trace of {algorithm.name} is there, nor in any .npz file {held}")
    if short := [n for n, traces in found.items() if len(traces) < 2]:
        raise ValueError(
            f"--traces {folder}: one trace of {algorithm.name} with {short[0]} nodes; two of each size are needed, one "
            "to learn from and one to choose the checkpoint by"
        )
    return dict(sorted(found.items()))


def sizes(config: Config, algorithm: Algorithm) -> tuple[tuple[int, ...], int]:
    """The sizes that are trained on, and the one of validation: those of the folder, unless some of them are chosen."""
    assert config.traces is not None
    there = read(config.traces, algorithm)
    train = config.train_sizes or tuple(there)
    val = config.val_size or max(train)
    for flag, chosen in (("--train-sizes", train), ("--val-size", (val,))):
        if unknown := [n for n in chosen if n not in there]:
            known = ", ".join(map(str, there))
            raise ValueError(
                f"{flag} {unknown[0]}: the traces of {algorithm.name} in {config.traces} have {known} nodes"
            )
    return train, val


def training(config: Config, algorithm: Algorithm, step: int, count: int, rng: np.random.RandomState) -> list[Trace]:
    """So many traces of one size, drawn with replacement from those of training."""
    assert config.traces is not None
    train, _ = sizes(config, algorithm)
    traces = read(config.traces, algorithm)[train[step % len(train)]]
    kept = [trace for place, trace in enumerate(traces) if not _is_left_out(place, len(traces))]
    return [kept[i] for i in rng.randint(len(kept), size=count)]


def validation(config: Config, algorithm: Algorithm) -> list[Trace]:
    """Those of the validation size that are never trained on; at most as many as `config.val_samples`, if given."""
    assert config.traces is not None
    traces = read(config.traces, algorithm)[sizes(config, algorithm)[1]]
    left_out = [trace for place, trace in enumerate(traces) if _is_left_out(place, len(traces))]
    return left_out[: config.val_samples or None]


def _is_left_out(place: int, count: int) -> bool:
    return place % LEFT_OUT == (count - 1) % LEFT_OUT
