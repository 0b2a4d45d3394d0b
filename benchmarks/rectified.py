"""What compiled operations save a reasoner of the recipe `step` on a CPU: the fused rectified sums of pairs
(nar/kernels/cpu/rectified.py), and finding who is chosen (nar/kernels/cpu/choices.py, once for whoever asks).

    python benchmarks/rectified.py --algo dijkstra heapsort

The same network takes training steps, and evaluates a batch of the canonical test set as `nar evaluate` cuts it, with
and without one of the two, in turns in one process, on one thread; without, by the separate operations that other
devices run, and whoever asks who is chosen has it found again. Written
to rectified.json: the medians of the CPU seconds of both, and the median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import pathlib
import statistics
import tempfile
import time
from unittest import mock

import result_files
import torch
from traces import cpu

from nar import datasets, recipes
from nar.evaluation.evaluate import predict, test_set
from nar.model.batch import collate
from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.options import choice
from nar.nn import neighbourhood
from nar.training.distributed import SINGLE
from nar.training.learner import SingleLearner
from nar.training.run import TrainingRun
from nar.training.tasks import training_batch

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
IDENTITY = ("algo", "what", "without")
TURNS, UPDATES, GRAPHS, SIZE = 5, 8, 8, 64


@contextlib.contextmanager
def separate():
    """Without the fused operations."""

    def plain(inputs, first, second, layer):
        return torch.relu(inputs.pairs_of(first, second, layer))

    with (
        mock.patch.object(neighbourhood, "RectifiedLinear", type(None)),  # no message function is of this type
        mock.patch.object(DecoderInputs, "rectified_pairs", plain),
    ):
        yield


@contextlib.contextmanager
def by_passes():
    """Who is chosen, found by PyTorch's operations at every question."""

    def index(one):
        return choice._index(one.eligible.detach(), one.numbers.detach(), one.places, one.rules.argmax())

    with mock.patch.object(choice.Choice, "index", index):
        yield


WITHOUT = {"sums of pairs": separate, "choices": by_passes}


def work(name):
    """What is timed: (what, function)."""
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(recipes.config("step", algo=name, threads=1, out=pathlib.Path(folder) / "run"),
                          torch.device("cpu"), SINGLE)  # fmt: skip
    algorithm, learner = run.tasks[0].algorithm, SingleLearner(run.reasoner, run.config)
    batches = [training_batch(algorithm, run.config, step) for step in range(UPDATES)]

    def train():
        for step, batch in enumerate(batches):
            learner.step([batch], step)

    batch = collate(list(itertools.islice(test_set(algorithm, SIZE)[0], GRAPHS)), algorithm)
    yield f"{UPDATES} training steps", train
    yield f"evaluation of {GRAPHS} graphs of {SIZE} nodes", lambda: predict(run.reasoner, batch)


def seconds(function):
    before = time.process_time()
    function()
    return time.process_time() - before


def measure(function, without):
    """Medians of the fused and the separate way, and of their ratio."""
    with without():
        function()
    function()  # compiled, caches warm
    fused, plain = [], []
    for _ in range(TURNS):
        fused.append(seconds(function))
        with without():
            plain.append(seconds(function))
    ratios = [one / other for one, other in zip(plain, fused, strict=True)]
    return {"fused": statistics.median(fused), "separate": statistics.median(plain),
            "ratio": statistics.median(ratios), "ratios": ratios}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algo", nargs="+", default=["dijkstra", "heapsort"])
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = result_files.load(arguments.output)
    for name in arguments.algo:
        datasets.get(name)
        for (what, function), (kind, without) in itertools.product(work(name), WITHOUT.items()):
            measured = measure(function, without)
            row = {"algo": name, "what": what, "without": kind, **measured, "cpu": cpu(), "torch": torch.__version__}
            print(f"{name}, {what}: {row['ratio']:.2f} times faster than without compiled {kind}")
            result["rows"] = result_files.put(result["rows"], row, IDENTITY)
            result_files.save(arguments.output, result)


if __name__ == "__main__":
    main()
