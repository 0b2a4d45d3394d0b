"""How time and memory of a step grow with the edges of a sparse graph, beside the dense layout masked to them.

    python benchmarks/sparse.py                            # under ten minutes
    python benchmarks/sparse.py --processor rnar_masked    # another processor beside those recorded

bfs on random graphs of n nodes and 10 n directed edges (and n self-loops), n = 100 ... 100,000, hidden size 64, decided
hints fed back, as in evaluation. A measurement has a process of its own and takes the first steps of one rollout: time
is the median over all but the first of them (CPU seconds on one thread), memory the peak beyond what the process held
before, the graph included. At n = 1600 the dense layout runs on the same graph, by the same processor with its decoders
masked. The exponent k of edges^k is the slope of the least-squares line through the larger half of the points, both
axes logarithmic. Written to benchmarks/sparse.json; what is printed at the end is the table of docs/sparse.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import statistics
import time

import measuring
import result_files
from scaling import slope

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
IDENTITY = ("layout", "processor", "nodes", "degree", "hidden", "threads")
PROCESSORS = ("pgn", "gin", "rnar_masked")
NODES = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
BESIDE_DENSE = 1600
DENSE = {"pgn": "pgn_mask"}  # with decoders that are masked, too
DEGREE, HIDDEN, STEPS, SECONDS = 10, 64, 6, 4.0


def measure(task, allocator_as_it_is=False):
    """One row, in this process, which keeps freed memory as those of the command line do."""
    import numpy as np
    import torch

    from nar import Reasoner, datasets
    from nar.model.batch import collate as collate_dense
    from nar.model.coders.sparse.batch import collate
    from nar.system import allocator
    from nar.traces.sparse.graph import SparseGraph

    if not allocator_as_it_is:
        allocator.keep_freed_memory()
    torch.set_num_threads(task["threads"])
    algorithm, rng, nodes = datasets.get("bfs"), np.random.RandomState(0), task["nodes"]
    count = nodes * task["degree"] // 2
    pairs = rng.randint(nodes, size=(2, 2 * count))
    keys = np.unique((pairs.min(0) * nodes + pairs.max(0))[pairs[0] != pairs[1]])
    keys = rng.permutation(keys)[:count]
    pairs = np.stack([keys // nodes, keys % nodes])
    graph = SparseGraph.of(nodes, np.concatenate([pairs, pairs[::-1]], axis=1))
    sparse = task["layout"] == "sparse"
    name = task["processor"] if sparse else DENSE.get(task["processor"], task["processor"])
    torch.manual_seed(0)
    reasoner = Reasoner.build("bfs", name, hidden=task["hidden"], hint_feedback="hard").eval()
    with torch.no_grad():  # libraries are loaded before memory is measured
        small = SparseGraph.of(3, [[0, 1, 1, 2], [1, 0, 2, 1]])
        reasoner(collate([algorithm.run_on_edges(A=small, s=0)], algorithm))
        measuring.forget_peak()
        before = measuring.peak_mb()
        if sparse:
            batch = collate([algorithm.run_on_edges(A=graph, s=0)], algorithm)
        else:
            batch = collate_dense([algorithm.run(A=graph.matrix(), s=0)], algorithm)
        batch = batch.with_lengths([min(batch.lengths[0], STEPS + 1)])
        cpu, wall = [], []
        while sum(wall) < SECONDS:
            moments = [(time.process_time(), time.perf_counter())]
            watch = lambda *_: moments.append((time.process_time(), time.perf_counter()))  # noqa: B023, E731
            reasoner(batch, watch=watch, decide_hints=True)
            for clock, seconds in zip(zip(*moments, strict=True), (cpu, wall), strict=True):
                seconds += (b - a for a, b in itertools.pairwise(clock[1:]))
    return {
        "edges": len(graph.senders),
        "cpu_seconds": statistics.median(cpu),
        "wall_seconds": statistics.median(wall),
        "peak_mb": measuring.peak_mb() - before,
        "steps": len(cpu),
        "versions": measuring.versions(),
    }


def tasks(processors):
    common = {"degree": DEGREE, "hidden": HIDDEN, "threads": 1, "layout": "sparse"}
    for processor in processors:
        yield from ({**common, "processor": processor, "nodes": nodes} for nodes in NODES)
        beside = {**common, "processor": processor, "nodes": BESIDE_DENSE}
        if processor in DENSE:
            yield from (beside, {**beside, "layout": "dense"})


def summary(rows):
    """Of every processor the exponents against edges, and how many times longer the dense layout takes."""
    found = []
    for processor in dict.fromkeys(row["processor"] for row in rows):
        own = [row for row in rows if row["processor"] == processor and row["threads"] == 1]
        series = [row for row in own if row["layout"] == "sparse" and row["nodes"] in NODES]
        about = {"processor": processor}
        for name in ("cpu_seconds", "peak_mb"):
            exponent, error = slope([(row["edges"], row[name]) for row in series])
            about |= {f"{name}_exponent": exponent, f"{name}_error": error}
        beside = {row["layout"]: row for row in own if row["nodes"] == BESIDE_DENSE}
        if len(beside) == 2:
            about |= {
                f"dense_{name}_ratio": beside["dense"][name] / beside["sparse"][name]
                for name in ("cpu_seconds", "peak_mb")
            }
        found.append(about)
    return found


def table(result):
    """What docs/sparse.md shows, as Markdown: a step's CPU milliseconds and memory, exponents, the dense layout."""
    rows, names = result["rows"], [found["processor"] for found in result["summary"]]
    lines = [f"| nodes | edges | {' | '.join(names)} |", "|--:|--:|" + "--:|" * len(names)]
    for nodes in NODES:
        own = {row["processor"]: row for row in rows if row["nodes"] == nodes and row["layout"] == "sparse"}
        cells = [f"{milliseconds(own[n]['cpu_seconds'])}, {own[n]['peak_mb']:,.0f} MiB" for n in names]
        lines.append(f"| {nodes:,} | {own[names[0]]['edges']:,} | {' | '.join(cells)} |")
    fits = [f"{found['processor']} {found['cpu_seconds_exponent']:.2f}" for found in result["summary"]]
    lines += ["", f"Time grows with the edges to the power of: {', '.join(fits)}."]
    for found in result["summary"]:
        if "dense_cpu_seconds_ratio" in found:
            lines[-1] += (
                f" At {BESIDE_DENSE:,} nodes {found['processor']} takes {found['dense_cpu_seconds_ratio']:.0f} times "
                f"as long in the dense layout, and {found['dense_peak_mb_ratio']:.0f} times the memory."
            )
    return "\n".join(lines)


def milliseconds(seconds):
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.1f} ms"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processor", nargs="+", default=list(PROCESSORS))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    result_files.add_flags(parser, OUTPUT)
    return parser.parse_args()


def main():
    options = parse()
    if options.worker:
        print(json.dumps(measure(json.loads(options.worker))))
        return
    versions = measuring.made_by()
    for task in tasks(options.processor):
        result = result_files.load(options.output)
        if result_files.wanted(result["rows"], task, versions, IDENTITY, again=options.again, keep=options.keep):
            row = {name: task[name] for name in IDENTITY} | measuring.in_own_process(__file__, task)
            row |= {"versions": row["versions"] | versions, "date": time.strftime("%Y-%m-%d")}
            rows = result_files.put(result["rows"], result_files.rounded(row), IDENTITY)
            result_files.save(options.output, {"summary": summary(rows), "rows": rows})
        row = result_files.find(result_files.load(options.output)["rows"], task, IDENTITY)
        print(
            f"{row['layout']:6} {row['processor']:12} n = {row['nodes']:7,}, {row['edges']:9,} edges, "
            f"{row['threads']} thread(s): {row['cpu_seconds']:.4g} CPU s, {row['wall_seconds']:.4g} s, "
            f"{row['peak_mb']:,.0f} MiB",
            flush=True,
        )
    print(table(result_files.load(options.output)))


if __name__ == "__main__":
    main()
