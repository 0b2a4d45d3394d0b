"""What a library's processes cost beside ones made for the purpose: why nar uses those of PyTorch.

    python benchmarks/process_pools.py            # some minutes

`sharing`: two processes share every batch. Gradients are summed by gloo (nar/training/distributed.py), or in memory
that both see, with one socket to wait for each other. `drawing`: two processes draw batches ahead of time and hand them
over through torch's DataLoader (nar/training/prefetch.py), or pickled, through a pipe for each.

Counted is the CPU time of all processes per training step or batch, in turns, after a first round that is not counted;
wall time beside it says little on a machine with other work. The bound to judge by is one tenth of a training step,
which `share_of_step` gives. Written to benchmarks/process_pools.json: medians, and the smallest and largest round.
"""

from __future__ import annotations

import argparse
import functools
import json
import mmap
import multiprocessing
import os
import pathlib
import pickle
import socket
import statistics
import time

import measuring
import result_files

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
IDENTITY = ("what", "algo", "processor")
ROOM = 2**23  # bytes of what a process hands in
STEPS = 10  # of a round: two batches of every training size
BATCHES = 100  # of a round
SHARED = (("bellman_ford", "mpnn"), ("bellman_ford", "triplet_gmpnn"))
DRAWN = ("bellman_ford", "floyd_warshall")


def clock():
    """CPU seconds of this process and of its children that multiprocessing knows, and wall seconds."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = pathlib.Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK"), time.perf_counter()


class SharedMemory:
    """The sum of two processes: each writes to its place in a file that both have mapped, and reads both places."""

    def __init__(self, ranks):
        self.rank, path = ranks.rank, str(ranks.folder / "line")
        if ranks.first:
            with socket.socket(socket.AF_UNIX) as door:
                door.bind(path)
                door.listen()
                ranks.any(False, "cpu")
                self.line, _ = door.accept()
        else:
            ranks.any(False, "cpu")
            self.line = socket.socket(socket.AF_UNIX)
            self.line.connect(path)
        with open(ranks.folder / "memory", "a+b") as file:
            file.truncate(4 * ROOM)
            self.memory = mmap.mmap(file.fileno(), 4 * ROOM)
        self.turn = 0  # two places each: who is early may hand in again while the other still reads

    def sum(self, values):
        import torch

        self.turn = 1 - self.turn
        start = 2 * self.turn * ROOM
        places = [
            torch.frombuffer(self.memory, dtype=values.dtype, count=values.numel(), offset=start + rank * ROOM)
            for rank in range(2)
        ]
        places[self.rank].copy_(values.detach().reshape(-1))
        self.line.sendall(b".")
        self.line.recv(1)
        return (places[0] + places[1]).view_as(values)


def train_in_turns(task, ranks):
    """Both processes: rounds of training steps with either sum; the leader returns its figures."""
    import torch

    from nar import datasets
    from nar.config import Config
    from nar.model.reasoner import Reasoner
    from nar.training.learner import SingleLearner
    from nar.training.tasks import training_batch

    if not ranks.first:
        ranks.meet()
    config = Config(algo=(task["algo"],), processor=task["processor"])
    learner = SingleLearner(Reasoner.from_config(config).train(), config, ranks=ranks)
    batches = [training_batch(datasets.get(task["algo"]), config, step, ranks=ranks) for step in range(STEPS)]
    gloo = ranks.sum
    sums = {"library": gloo, "own": SharedMemory(ranks).sum}
    found = {kind: [] for kind in sums}
    for number in range(task["rounds"] + 1):
        for kind in sorted(sums, reverse=bool(number % 2)):
            object.__setattr__(ranks, "sum", sums[kind])
            began = clock()
            for step, batch in enumerate(batches):
                learner.step([batch], step)
                ranks.any(False, torch.device("cpu"))
            cpu, wall = (now - before for now, before in zip(clock(), began, strict=True))
            object.__setattr__(ranks, "sum", gloo)
            everyone = ranks.gathered(cpu)
            if number:
                found[kind].append((sum(everyone) / STEPS, wall / STEPS))
    return found


def sharing(task):
    import process_pools  # by the name by which the other process finds it
    import torch

    import nar.device
    from nar.training import shared_batch

    nar.device.prepare(torch.device("cpu"), 1)
    with shared_batch.spawned(2, process_pools.train_in_turns, task) as ranks:
        return train_in_turns(task, ranks)


def through_pipes(draw, numbers, workers):
    """Batches in order, from processes that each have their own pipe and every so manieth number."""
    context = multiprocessing.get_context("spawn")
    lines, processes = [], []
    for place in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        processes.append(context.Process(target=serve, args=(draw, numbers[place::workers], theirs), daemon=True))
        processes[-1].start()
        lines.append(ours)
    for number in range(len(numbers)):
        yield pickle.loads(lines[number % workers].recv_bytes())
    for process in processes:
        process.join()


def serve(draw, numbers, line):
    import torch

    torch.set_num_threads(1)
    for number in numbers:
        line.send_bytes(pickle.dumps(draw(number), protocol=pickle.HIGHEST_PROTOCOL))


def drawing(task):
    import torch

    from nar import datasets
    from nar.config import Config
    from nar.training.prefetch import drawn
    from nar.training.tasks import training_batch

    torch.set_num_threads(1)
    draw = functools.partial(training_batch, datasets.get(task["algo"]), Config(algo=(task["algo"],)))
    found = {"library": [], "own": []}
    for number in range(task["rounds"]):
        for kind, pool in sorted({"library": drawn, "own": through_pipes}.items(), reverse=bool(number % 2)):
            batches = pool(draw, range(BATCHES + 20), 2)
            for _ in range(10):  # processes start, and recording is compiled
                next(batches)
            began = clock()
            for _ in range(BATCHES):
                next(batches)
            cpu, wall = (now - before for now, before in zip(clock(), began, strict=True))
            found[kind].append((cpu / BATCHES, wall / BATCHES))
            batches.close()
    return found


def row(task, found, versions):
    """The record of one comparison, in milliseconds; of drawing, `share_of_step` is of a step that it feeds."""
    made: dict = {key: task[key] for key in IDENTITY} | {"rounds": task["rounds"]}
    for kind, rounds in found.items():
        for name, values in zip(("cpu_ms", "wall_ms"), zip(*rounds, strict=True), strict=True):
            values = [1000 * value for value in values]
            made[f"{kind}_{name}"] = {"median": statistics.median(values), "rounds": [min(values), max(values)]}
    more = made["library_cpu_ms"]["median"] - made["own_cpu_ms"]["median"]
    step = task.get("step_ms") or made["own_cpu_ms"]["median"]
    return made | {"share_of_step": more / step, "versions": versions, "date": time.strftime("%Y-%m-%d")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        task = json.loads(options.worker)
        print(json.dumps({"sharing": sharing, "drawing": drawing}[task["what"]](task)))
        return
    result, versions, steps = result_files.load(options.output), measuring.made_by(), []
    tasks = [{"what": "sharing", "algo": algo, "processor": processor} for algo, processor in SHARED]
    tasks += [{"what": "drawing", "algo": algo, "processor": ""} for algo in DRAWN]
    for task in tasks:
        if task["what"] == "drawing":
            task["step_ms"] = min(steps)
        task["rounds"] = options.rounds
        one = row(task, measuring.in_own_process(__file__, task), versions)
        if task["what"] == "sharing":
            steps.append(one["own_cpu_ms"]["median"])
        print(f"{task['what']} {task['algo']}: {one['share_of_step']:+.1%} of a step", flush=True)
        result["rows"] = result_files.put(result["rows"], one, IDENTITY)
    result_files.save(options.output, result)


if __name__ == "__main__":
    main()
