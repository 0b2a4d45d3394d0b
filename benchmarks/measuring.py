"""What the speed benchmarks share: what is measured, how a call is timed, processes of their own.

A measurement runs in a process of its own: its peak memory is its own, and nothing compiled for another lingers.
PyTorch and nar are imported inside functions only, so that the process which starts measurements stays small: a child's
peak memory, as the system counts it, begins with that of its parent.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

from traces import cpu

ROOT = pathlib.Path(__file__).resolve().parents[1]


def learner(algorithm, processor, hidden, *, seeds=(42,), device="cpu", threads=1):
    """What `nar train` would train these seeds with (see nar/training/learner.py), and what was chosen for the device.

    Where they cannot be stacked, the first of them, trained alone; the record then says why.
    """
    import numpy as np

    from nar import device as devices
    from nar.config import Config
    from nar.model.batch import collate
    from nar.model.reasoner import Reasoner
    from nar.training.cuda_graphs import CudaGraphLearner
    from nar.training.learner import SingleLearner, StackedLearner, why_not_stackable

    on = devices.choose(device)
    chosen = devices.prepare(on, threads)
    configs = [Config(algo=(algorithm.name,), processor=processor, hidden=hidden, seed=seed) for seed in seeds]
    reasoners = [Reasoner.from_config(config).to(on).train() for config in configs]
    if on.type == "cpu" and len(seeds) == 1:
        return SingleLearner(reasoners[0], configs[0]), chosen
    rng, nodes = np.random.RandomState(0), max(4, algorithm.min_nodes, *(algorithm.train_sizes or (0,)))
    traces = [algorithm.run(**algorithm.sample(rng, nodes, **algorithm.train_params)) for _ in range(2)]
    if reason := why_not_stackable(reasoners[0], configs[0], collate(traces, algorithm).to(on)):
        return SingleLearner(reasoners[0], configs[0]), chosen | {"not_stacked": reason}
    return (CudaGraphLearner if on.type == "cuda" else StackedLearner)(reasoners, configs), chosen


def trainer(learner):
    """A training step of batches that are on the device, one for every seed: forward, loss, backward, clipping, Adam.

    It does not wait for a GPU.
    """
    steps = itertools.count()
    return lambda *batches: learner.step(batches, next(steps))


def predictor(reasoner):
    """The decided outputs of a batch that is on the device, as in evaluation, into whose mode the reasoner is put."""
    import torch

    from nar.model.postprocess import hard

    on = next(reasoner.parameters()).device
    reasoner.eval()

    @torch.no_grad()
    def predict(batch):
        spec = reasoner.specs[batch.algorithm]
        outputs = {name: hard(spec[name], value) for name, value in reasoner(batch, decide_hints=True).outputs.items()}
        if on.type == "cuda":
            torch.cuda.synchronize(on)
        return outputs

    return predict


def shortened(batch, steps):
    """The batch as if every trajectory of it ended after at most so many message steps.

    Answers are those of the whole trajectory and mean nothing any more; what a step costs is the same.
    """
    from nar.traces.run_length import RunLengthArray

    def cut(hint):
        return (
            RunLengthArray(hint.values, hint.index[: lengths[0]])
            if isinstance(hint, RunLengthArray)
            else hint[: lengths[0]]
        )

    lengths = [min(length, steps + 1) for length in batch.lengths]
    hints = {name: cut(hint) for name, hint in batch.hints.items()}
    return dataclasses.replace(batch.with_lengths(lengths), hints=hints)


def graph_steps(batch):
    """Message steps of all graphs together: what the work of a batch is proportional to."""
    return sum(max(1, length - 1) for length in batch.lengths)


@dataclasses.dataclass
class Timing:
    """Seconds of every measured call, and wall seconds of the very first one, in which things are compiled."""

    cpu: list[float]
    wall: list[float]
    first: float

    def medians(self):
        return {"cpu_seconds": statistics.median(self.cpu), "wall_seconds": statistics.median(self.wall)}


def timed(call, batches, *, seconds, warm_up=2, least=2):
    """Call with every batch and time it, the first `warm_up` calls apart.

    Once `least` calls are measured, none is begun that would probably end later than `seconds` after the first began.
    """
    cpu, wall = [], []
    for batch in batches:
        if len(wall) >= warm_up + least and sum(wall[warm_up:]) + max(wall[warm_up:]) > seconds:
            break
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        call(batch)
        cpu.append(time.process_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    return Timing(cpu[warm_up:], wall[warm_up:], wall[0])


def peak_mb():
    """The most that this process has held since `forget_peak`, in MiB (Linux)."""
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def forget_peak():
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")


def start(command, *, cores=0, timeout=None):
    """Run a measurement on the first `cores` cores (0: all); its last line of output is JSON."""
    pin = None
    if cores and hasattr(os, "sched_setaffinity"):
        pin = functools.partial(os.sched_setaffinity, 0, sorted(os.sched_getaffinity(0))[:cores])
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin, timeout=timeout)
    if done.returncode < 0:
        raise MemoryError(f"the measurement {' '.join(map(str, command))} was killed by signal {-done.returncode}")
    if done.returncode:
        raise SystemExit(f"the measurement {' '.join(map(str, command))} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def in_own_process(file, task, *, cores=0, timeout=None):
    """What `python file --worker TASK` measures."""
    return start([sys.executable, file, "--worker", json.dumps(task)], cores=cores, timeout=timeout)


@functools.cache
def sources():
    """Twelve digits that change with any line of nar, its processors or its algorithms."""
    digest = hashlib.sha256()
    for folder in ("nar", "processors", "datasets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def made_by():
    """What a figure depends on beside its settings, without importing PyTorch."""
    return {"sources": sources(), "torch": importlib.metadata.version("torch"), "cpu": cpu()}


def versions():
    """Of nar and of what it computes with; imports PyTorch."""
    import numpy as np
    import torch

    from nar.results.run_directory import provenance

    made = provenance(torch.device("cpu"))
    return {
        **{name: made[name] for name in ("nar", "commit", "torch")},
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
