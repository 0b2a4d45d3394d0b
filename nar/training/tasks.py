"""A task of a run: one algorithm and the data on which it is learned, chosen and tested.

What is drawn is a pure function of the settings and the step: neither the number of worker processes nor a resumed run
changes it.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from nar import datasets
from nar.config import Config
from nar.evaluation import axes, own_traces, protocol
from nar.model.batch import Batch, collate, draw
from nar.model.coders.sparse import batch as sparse
from nar.model.coders.sparse.batch import SparseBatch
from nar.traces.algorithm import Algorithm
from nar.traces.inputs.families import full_name
from nar.traces.sparse import sampling
from nar.traces.sparse.trace import SparseTrace
from nar.training import distributed, moments

TRAINING_STREAM, VALIDATION_SEED = 0, 2  # validation data is the same whatever the run's seed


@dataclasses.dataclass(frozen=True)
class Task:
    """One algorithm of a run and the sizes it is trained, validated and tested at."""

    algorithm: Algorithm
    train_sizes: tuple[int, ...]
    val_size: int
    eval_sizes: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.algorithm.name


def tasks(config: Config) -> list[Task]:
    """The tasks of a run; ValueError for an unknown algorithm or family, or a size that is too small for one."""
    found = []
    named = [full_name(name) for name in config.train_families]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise ValueError(f"--train-families names {twice} twice")
    for name in config.algo:
        algorithm = datasets.get(name)
        training_params(algorithm, config, 0)
        settings = _with_sizes(config, algorithm)
        train = settings.train_sizes or ()
        algorithm.check_room(max(train, default=1), config.batch_size)
        algorithm.check_room(settings.val_size or 1, config.val_samples or 1)
        algorithm.check_room(max(settings.eval_sizes or (), default=1))  # drawn a few at a time
        found.append(Task(algorithm, settings.train_sizes or (), settings.val_size or 0, settings.eval_sizes or ()))
    return found


def settled(config: Config) -> Config:
    """The settings of a run with the protocol's sizes in place of those left open.

    Those of a generalist stay open: they may differ between its algorithms.
    """
    config = dataclasses.replace(config, out=config.run_dir)  # its name is that of the settings as they were given
    return _with_sizes(config, datasets.get(config.algo[0])) if len(config.algo) == 1 else config


def _with_sizes(config: Config, algorithm: Algorithm) -> Config:
    """The protocol's sizes in place of those left open, or those of the traces that are given."""
    if config.traces is not None:
        train, val = own_traces.sizes(config, algorithm)
        config = dataclasses.replace(config, train_sizes=train, val_size=val)
    return protocol.resolved(config, algorithm)


def training_batch(
    algorithm: Algorithm, config: Config, step: int, *, ranks: distributed.Ranks = distributed.SINGLE
) -> Batch:
    """The batch of one step, or this process's share of it: a pure function of the settings and the step."""
    count, seed = config.batch_size * ranks.batches, (config.seed, TRAINING_STREAM, step)
    if config.layout == "sparse":
        if ranks.world > 1:
            raise ValueError("a sparse batch is not shared among processes: train it in one, without torchrun")
        return sparse_training_batch(algorithm, config, step)
    if config.traces is not None:
        rng = np.random.RandomState(list(seed))
        traces = own_traces.training(config, algorithm, step, count, rng)
        batch = collate(traces, algorithm, random_pos=rng if config.random_pos else None)
    else:
        sizes = protocol.resolved(config, algorithm).train_sizes or ()
        nodes, params = sizes[step % len(sizes)], training_params(algorithm, config, step // len(sizes))
        batch = draw(algorithm, nodes, count, seed=seed, random_pos=config.random_pos, **params)
    if config.supervision == "moments":
        batch = moments.chosen(batch, config, step)
    return ranks.share(batch)


def training_params(algorithm: Algorithm, config: Config, turn: int) -> dict[str, Any]:
    """Parameters of the sampler in one turn through the training sizes: in every other one those of another setting."""
    families = [name for name in config.train_families if axes.misfit(algorithm, {"family": name}) is None]
    setting = _other_setting(algorithm, config, turn, families)
    return axes.parameters(algorithm, setting, algorithm.train_params) if setting else algorithm.train_params


def _other_setting(algorithm: Algorithm, config: Config, turn: int, families: Sequence[str]) -> dict[str, str]:
    """The family and the law of weights (nar/evaluation/axes.py) of a turn; without them the algorithm's own hold."""
    laws = [None, *(law for law in config.train_weights if axes.misfit(algorithm, {"weights": law}) is None)]
    if turn % 2 == 0:
        return {}
    time, law = turn // 2, laws[turn // 2 // max(1, len(families)) % len(laws)]
    family = {"family": families[time % len(families)]} if families else {}
    return family if law is None else family | {"weights": law}


def sparse_training_batch(algorithm: Algorithm, config: Config, step: int) -> SparseBatch:
    """The same on edges: of the families that can be drawn so, in every other turn, and SALSA-CLRS's graphs."""
    sizes = protocol.resolved(config, algorithm).train_sizes or ()
    turn, nodes = step // len(sizes), sizes[step % len(sizes)]
    families = [name for name in config.train_families if name in sampling.families.TABLE]
    setting = _other_setting(algorithm, config, turn, families)
    params = {"family": setting.pop("family", sampling.FAMILY)} | axes.parameters(algorithm, setting)
    rng = np.random.RandomState([config.seed, TRAINING_STREAM, step])
    traces = sparse_traces(algorithm, nodes, config.batch_size, rng, **params)
    positions = rng if config.random_pos else None
    if config.supervision == "moments":
        return moments.chosen_on_edges(traces, algorithm, config, step, positions)
    return sparse.collate(traces, algorithm, random_pos=positions)


def sparse_traces(
    algorithm: Algorithm, nodes: int, samples: int, rng: np.random.RandomState, **params: Any
) -> list[SparseTrace]:
    """Traces on edges, of graphs of a family; `params`: as nar/traces/sparse/sampling.py has them."""
    return [algorithm.run_on_edges(**sampling.sample(algorithm, rng, nodes, **params)) for _ in range(samples)]


def validation_set(algorithm: Algorithm, config: Config) -> list[Batch]:
    """Validation data from the training distribution, the same for every seed."""
    rng = np.random.RandomState(VALIDATION_SEED)
    samples = config.val_samples or (64 if algorithm.num_samples_multiplier == 1 else 256)
    size = protocol.resolved(config, algorithm).val_size or 0
    traces: list[Any]
    join: Any = collate
    if config.layout == "sparse":
        traces, join = sparse_traces(algorithm, size, samples, rng), sparse.collate
    elif config.traces is not None:
        traces = own_traces.validation(config, algorithm)
    else:
        traces = [algorithm.run(**algorithm.sample(rng, size, **algorithm.train_params)) for _ in range(samples)]
    positions = rng if config.random_pos else None
    return [join(traces[i : i + 64], algorithm, random_pos=positions) for i in range(0, len(traces), 64)]
