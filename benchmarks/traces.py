"""Trace generation: samples per CPU second, sampling included, ours and dm-clrs's, measured side by side.

    python benchmarks/traces.py --peer-python PYTHON      # an interpreter that has dm-clrs installed

dm-clrs runs in that interpreter as a second process. The two take turns, round by round; a measurement lasts at least
`--seconds` of CPU time (time.process_time). dm-clrs is timed twice: `batch` is its own way to make data (`sampler.next`
on the fly: draw, run, split, batch and pad), `trace` leaves its batching out (draw, run, split), as ours does.
Reported: medians over the rounds of rates and ratios, and the ratios' geometric means. Claim: over the thirty
algorithms of CLRS-30, ours makes at least 10 times as many samples as dm-clrs at n=16 and 50 times as many at n=64
(geometric means), and no algorithm less than 3 times. Written to benchmarks/traces.json.

The last part measures memory: what a batch of 32 traces of strongly_connected_components on 64 nodes takes.
"""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import time

CLRS30 = (
    "activity_selector", "articulation_points", "bellman_ford", "bfs", "binary_search", "bridges", "bubble_sort",
    "dag_shortest_paths", "dfs", "dijkstra", "find_maximum_subarray_kadane", "floyd_warshall", "graham_scan",
    "heapsort", "insertion_sort", "jarvis_march", "kmp_matcher", "lcs_length", "matrix_chain_order", "minimum",
    "mst_kruskal", "mst_prim", "naive_string_matcher", "optimal_bst", "quickselect", "quicksort", "segments_intersect",
    "strongly_connected_components", "task_scheduling", "topological_sort",
)  # fmt: skip
SIZES = (16, 64)
BATCH = 32


def rate(make, seconds):
    """Samples per CPU second of `make(count)`; counts grow to a batch, so that slow makers end in time."""
    made, count, start = 0, 1, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        make(count)
        made += count
        count = min(2 * count, BATCH)
    return made / spent


def ours(name, n):
    """Makes so many traces."""
    import numpy as np

    import nar.datasets

    algorithm, rng = nar.datasets.get(name), np.random.RandomState(0)

    def make(count):
        for _ in range(count):
            algorithm.run(**algorithm.sample(rng, n))

    return {"trace": make}


def theirs(name, n):
    """Makes so many of dm-clrs's, with and without batching."""
    import clrs
    from clrs._src import probing

    sampler, spec = clrs.build_sampler(name, num_samples=-1, seed=0, length=n, track_max_steps=False)

    def trace(count):
        for _ in range(count):
            data = sampler._sample_data(length=n)
            _, probes = sampler._algorithm(*sampler._trunc_array(data))
            probing.split_stages(probes, spec)

    return {"batch": sampler.next, "trace": trace}


def worker(build):
    """Answer requests [name, n, seconds], one JSON line each, with the rates of that setting."""
    out, sys.stdout = sys.stdout, sys.stderr  # the libraries may print
    makers = {}
    for line in sys.stdin:
        name, n, seconds = json.loads(line)
        if (name, n) not in makers:
            makers[name, n] = build(name, n)
            for make in makers[name, n].values():
                make(1)  # compile, warm up
        print(json.dumps({k: rate(make, seconds) for k, make in makers[name, n].items()}), file=out, flush=True)


def ask(process, *request):
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"the worker {process.args} stopped; see its messages above")
    return json.loads(answer)


def versions(python, packages):
    code = f"import importlib.metadata as m, json; print(json.dumps({{p: m.version(p) for p in {packages!r}}}))"
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def cpu():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def lowest(rows, n):
    """The algorithm with the smallest ratio at this size."""
    row = min((row for row in rows if row["n"] == n), key=lambda row: row["ratio_trace"])
    return {row["algorithm"]: row["ratio_trace"]}


def scc_batch_bytes():
    """Bytes of a collated batch of 32 traces of strongly_connected_components on 64 nodes, and of the traces."""
    import numpy as np

    import nar.datasets
    from nar.model.batch import collate

    algorithm, rng = nar.datasets.get("strongly_connected_components"), np.random.RandomState(0)
    traces = [algorithm.run(**algorithm.sample(rng, 64)) for _ in range(BATCH)]
    batch = collate(traces, algorithm)
    stages = (batch.inputs, batch.hints, batch.outputs)
    return {
        "traces": sum(array.nbytes for trace in traces for array in trace.compact.values()),
        "batch": sum(value.nbytes for stage in stages for value in stage.values()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="interpreter with dm-clrs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="CPU time of one measurement")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).with_suffix(".json"))
    parser.add_argument("--worker", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker({"ours": ours, "theirs": theirs}[options.worker])
    if not options.peer_python:
        parser.error("--peer-python is required: the interpreter of an environment with dm-clrs==2.0.3")

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([sys.executable, __file__, "--worker", "ours"], **pipes) as our,
        subprocess.Popen([options.peer_python, __file__, "--worker", "theirs"], **pipes) as their,
    ):
        rows = []
        for n in SIZES:
            for name in CLRS30:
                rounds = [
                    (ask(our, name, n, options.seconds), ask(their, name, n, options.seconds))
                    for _ in range(options.rounds)
                ]
                row = {
                    "algorithm": name,
                    "n": n,
                    "ours": statistics.median(a["trace"] for a, _ in rounds),
                    "dm_clrs_trace": statistics.median(b["trace"] for _, b in rounds),
                    "dm_clrs_batch": statistics.median(b["batch"] for _, b in rounds),
                    "ratio_trace": statistics.median(a["trace"] / b["trace"] for a, b in rounds),
                    "ratio_batch": statistics.median(a["trace"] / b["batch"] for a, b in rounds),
                }
                rows.append({k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()})
                print(
                    "{algorithm:29} n={n:<3} ours {ours:9.0f}/s  dm-clrs {dm_clrs_trace:7.0f}/s".format(**row), end=""
                )
                print("  x{ratio_trace:5.1f} (with its batching x{ratio_batch:.1f})".format(**row), flush=True)
        our.stdin.close()
        their.stdin.close()

    means = {
        f"n={n}": {
            kind: round(statistics.geometric_mean(r[f"ratio_{kind}"] for r in rows if r["n"] == n), 1)
            for kind in ("trace", "batch")
        }
        for n in SIZES
    }
    print("geometric mean of the ratios:", means)
    result = {
        "claim": "samples per CPU second: at least 10 (n=16), 50 (n=64) times dm-clrs's, geometric means; none below 3",
        "geometric_mean_ratio": means,
        "lowest_ratio": {f"n={n}": lowest(rows, n) for n in SIZES},
        "scc_batch_bytes": scc_batch_bytes(),
        "rows": rows,
        "unit": "samples per CPU second, sampling included",
        "rounds": options.rounds,
        "seconds": options.seconds,
        "batch": BATCH,
        "cpu": cpu(),
        "ours": {"nar": importlib.metadata.version("neural-algorithmic-reasoning"), "python": platform.python_version()}
        | versions(sys.executable, ["numpy", "numba"]),
        "theirs": versions(options.peer_python, ["dm-clrs", "numpy", "jax"]),
        "date": time.strftime("%Y-%m-%d"),
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
