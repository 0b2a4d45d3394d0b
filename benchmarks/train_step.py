"""What one training step costs, ours and dm-clrs's, measured side by side; likewise evaluation, per message step.

    python benchmarks/train_step.py --peer-python PYTHON      # an interpreter that has dm-clrs installed
    python benchmarks/train_step.py --peer-python PYTHON --algo bfs --processor pgn --algo minimum --processor mpnn

The two take turns, round by round, each time in a fresh process (dm-clrs's is benchmarks/clrs_peer.py). Both draw the
same graphs by the CLRS protocol, and draw them beforehand: of a training step, forward, backward, clipping and Adam are
measured; of evaluation, one prediction of a batch, divided by the message steps of its longest graph. The first calls,
in which both compile, are left out. A measurement is the median over `--steps` calls; reported are the medians of the
rounds and of their ratios. CPU seconds add up all threads of a process.

Claim: bellman_ford with mpnn (16 nodes, batch 32, hidden 128) costs at most a third of dm-clrs's CPU time per training
step. Written to benchmarks/train_step.json.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

from traces import cpu

PEER = pathlib.Path(__file__).with_name("clrs_peer.py")
WARM_UP = 3  # calls before measuring, as in clrs_peer.py
ESTIMATE = 1000  # samples that dm-clrs draws before the first batch, to know how long trajectories are
KEPT = (
    "cpu_seconds",
    "wall_seconds",
    "cpu_seconds_per_message_step",
    "wall_seconds_per_message_step",
    "peak_memory_mb",
)


def measure_ours(task):
    """The counterpart of clrs_peer.py's main: its protocol, its result."""
    import numpy as np
    import torch

    from nar import datasets, device, processors
    from nar.batch import collate, training_spec
    from nar.decode import hard
    from nar.loss import total_loss
    from nar.reasoner import Reasoner

    chosen = device.prepare(torch.device("cpu"), task["threads"])
    algorithm = datasets.get(task["algo"])
    count = WARM_UP + task["steps"]
    positions = np.random.RandomState(task["seed"])
    positions.randint(2**32, dtype=np.int64)  # dm-clrs's key of initialisation
    rng = np.random.RandomState(positions.randint(2**32, dtype=np.int64))  # dm-clrs's sampler has this seed
    params = {} if task["eval"] else algorithm.train_params

    def draw(samples):
        return [algorithm.run(**algorithm.sample(rng, task["nodes"], **params)) for _ in range(samples)]

    if task["eval"]:
        batches = [collate(draw(task["batch"]), algorithm)] * count
    else:
        draw(ESTIMATE)
        batches = [collate(draw(task["batch"]), algorithm, random_pos=positions) for _ in range(count)]
    torch.manual_seed(task["seed"])
    processor = processors.build(task["processor"], task["hidden"])
    reasoner = Reasoner({algorithm.name: training_spec(algorithm)}, processor)
    reasoner.train(not task["eval"])
    optimizer = torch.optim.Adam(reasoner.parameters(), lr=1e-3, fused=True)

    def train(batch):
        loss = total_loss(batch, reasoner(batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reasoner.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def predict(batch):
        spec = reasoner.specs[batch.algorithm]
        return {name: hard(spec[name], value) for name, value in reasoner(batch).outputs.items()}

    call = predict if task["eval"] else train
    cpu_seconds, wall_seconds = [], []
    for batch in batches:
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        call(batch)
        cpu_seconds.append(time.process_time() - cpu_start)
        wall_seconds.append(time.perf_counter() - wall_start)
    measured = {"cpu": cpu_seconds[WARM_UP:], "wall": wall_seconds[WARM_UP:]}
    result = {}
    for kind, values in measured.items():
        result[f"{kind}_seconds"] = statistics.median(values)
        per_step = [value / batch.steps for value, batch in zip(values, batches[WARM_UP:], strict=True)]
        result[f"{kind}_seconds_per_message_step"] = statistics.median(per_step)
    lengths = [length for batch in batches for length in batch.lengths]
    return result | {
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "padded_hint_length": max(lengths),
        "mean_hint_length": statistics.fmean(lengths),
        "threads": torch.get_num_threads(),
        **chosen,
        "versions": versions(),
    }


def versions():
    import numba
    import numpy as np
    import torch

    import nar

    found = {"nar": nar.__version__, "torch": torch.__version__, "numba": numba.__version__, "numpy": np.__version__}
    return found | {"python": platform.python_version()}


def start(command, cores):
    """Run a measurement on the first `cores` cores (0: all); its last line of output is JSON."""
    pin = None
    if cores and hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))[:cores]

        def pin():
            os.sched_setaffinity(0, allowed)

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin)
    if done.returncode:
        raise SystemExit(f"the measurement {' '.join(map(str, command))} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_ours(task):
    return start([sys.executable, __file__, "--worker", json.dumps(task)], task["threads"])


def run_peer(task, python):
    flags = [f"--{name}={task[name]}" for name in ("algo", "processor", "nodes", "batch", "hidden", "steps", "seed")]
    return start([python, PEER, *flags, *["--eval"] * task["eval"]], task["threads"])


def compare(task, python, rounds):
    """One row of the result: medians over the rounds, which alternate who comes first."""
    pairs = []
    for i in range(rounds):
        if i % 2:
            theirs = run_peer(task, python)
            pairs.append((run_ours(task), theirs))
        else:
            pairs.append((run_ours(task), run_peer(task, python)))

    def side(k):
        medians = {name: statistics.median(pair[k][name] for pair in pairs) for name in KEPT}
        return {name: float(f"{v:.4g}") for name, v in medians.items()} | {
            name: round(pairs[0][k][name], 2) for name in ("mean_hint_length", "padded_hint_length")
        }

    unit = "_per_message_step" if task["eval"] else ""
    ratios = {
        short: [round(theirs[name] / ours[name], 2) for ours, theirs in pairs]
        for short, name in (
            ("cpu", f"cpu_seconds{unit}"),
            ("wall", f"wall_seconds{unit}"),
            ("memory", "peak_memory_mb"),
        )
    }
    row = {
        "what": "evaluation" if task["eval"] else "training step",
        **{name: task[name] for name in ("algo", "processor", "nodes", "batch", "hidden")},
        "ours": side(0),
        "dm_clrs": side(1),
        **{f"ratio_{name}": round(statistics.median(values), 2) for name, values in ratios.items()},
        "ratios_by_round": ratios,
    }
    return row, pairs[-1]


ROW = "{:14} {:20} {:16} {:>4}  {:>11} {:>11}  {:>6} {:>6} {:>6}"


def line(row):
    unit = "_per_message_step" if row["what"] == "evaluation" else ""
    times = [f"{row[side][f'cpu_seconds{unit}'] * 1000:.1f} ms" for side in ("ours", "dm_clrs")]
    ratios = [f"x{row[f'ratio_{kind}']:.1f}" for kind in ("cpu", "wall", "memory")]
    return ROW.format(row["what"], row["algo"], row["processor"], row["nodes"], *times, *ratios)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="interpreter of an environment with dm-clrs==2.0.3")
    parser.add_argument("--algo", action="append", help="may be repeated; default: bellman_ford")
    parser.add_argument("--processor", action="append", help="one for all algorithms or one for each; default: mpnn")
    parser.add_argument("--nodes", type=int, default=16, help="of training graphs")
    parser.add_argument("--eval-nodes", type=int, default=64, help="of evaluation graphs; 0: no evaluation")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="calls of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="cores that each of the two may use; 0: all")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).with_suffix(".json"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return options
    if not options.peer_python:
        parser.error("--peer-python is required: the interpreter of an environment with dm-clrs==2.0.3")
    algorithms, networks = options.algo or ["bellman_ford"], options.processor or ["mpnn"]
    if len(networks) == 1:
        networks *= len(algorithms)
    elif len(algorithms) == 1:
        algorithms *= len(networks)
    if len(algorithms) != len(networks):
        parser.error(f"--processor must be given once or as often as --algo, got {len(networks)} for {len(algorithms)}")
    if min(options.steps, options.rounds) < 1:
        parser.error("--steps and --rounds must be at least 1")
    options.pairs = list(zip(algorithms, networks, strict=True))
    return options


def main():
    options = parse()
    if options.worker:
        print(json.dumps(measure_ours(json.loads(options.worker))))
        return
    rows, last = [], ({}, {})
    print("CPU time per training step, and per message step of evaluation; ratios: dm-clrs's over ours")
    print(ROW.format("", "algorithm", "processor", "n", "ours", "dm-clrs", "CPU", "wall", "memory"))
    for algorithm, processor in options.pairs:
        for nodes, evaluation in ((options.nodes, False), (options.eval_nodes, True)):
            if not nodes:
                continue
            task = {"algo": algorithm, "processor": processor, "nodes": nodes, "eval": evaluation}
            task |= {name: getattr(options, name) for name in ("batch", "hidden", "steps", "seed", "threads")}
            row, last = compare(task, options.peer_python, options.rounds)
            rows.append(row)
            print(line(row), flush=True)
    ours, theirs = last
    result = {
        "claim": "bellman_ford, mpnn, 16 nodes: at most a third of dm-clrs's CPU time per training step",
        "rows": rows,
        "unit": "seconds; peak memory of the process in MiB; ratios: dm-clrs's over ours",
        "rounds": options.rounds,
        "steps": options.steps,
        "cpu": cpu(),
        "cores": theirs["cores"],
        "ours": ours["versions"] | {name: ours[name] for name in ("threads", "matmul")},
        "theirs": theirs["versions"],
        "date": time.strftime("%Y-%m-%d"),
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
