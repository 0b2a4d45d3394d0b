"""Compiled references at size, what precision they need, and how faithful trained networks are beside them.

    python benchmarks/faithfulness.py                        # references and audits, 64 nodes, then 256
    python benchmarks/faithfulness.py --runs runs/bfs-* runs/bellman_ford-*
    python benchmarks/faithfulness.py --train bfs bellman_ford dfs --seeds 5    # small runs of its own, minutes each

Printed and written to benchmarks/faithfulness.json, which keeps the parts that a call does not make again:

- references: score (label match), whole graphs right, right answers and valid pointers, hard and soft (beta 10^4), on
  the canonical test set of 64 nodes and on 256 nodes. `grid` rounds weights to multiples of 2^-16, whose sums float32
  holds exactly; `drawn` are the sampler's own, which float32 rounds before the reasoner sees them.
- audits: the first size at which float32 and bfloat16 answers leave float64's, and weights times 0.001 to 1000.
- faithfulness: nar/analysis/faithfulness/report.py over the runs.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
import time

import numpy as np
import torch

from nar import datasets
from nar.analysis.faithfulness import report
from nar.analysis.references import compiled
from nar.analysis.references.audit import pointers_valid, precision, scales
from nar.config import Config
from nar.datasets import canonical
from nar.evaluation.evaluate import TEST_SEED, evaluate
from nar.model.batch import collate
from nar.results.run_directory import provenance
from nar.system import files

FILE = pathlib.Path(__file__).with_suffix(".json")
BETA = 1e4


def graphs(algorithm, size, samples, weights):
    """Test graphs, one at a time; those of 64 nodes with `drawn` weights are the canonical set."""
    if weights == "drawn":
        yield from canonical.draw(algorithm, size, samples, TEST_SEED)
        return
    rng = np.random.RandomState(TEST_SEED)
    for _ in range(samples):
        inputs = algorithm.sample(rng, size)
        yield algorithm.run(**(inputs | {"A": np.round(inputs["A"] * 2**16) / 2**16}))


def on_references(sizes, samples, names):
    """One row per algorithm, size, weights and mode."""
    rows = []
    for name in names:
        algorithm = datasets.get(name)
        for size in sizes:
            for weights in ("drawn", "grid") if "law" in algorithm.params else ("drawn",):
                for beta in (0.0, BETA) if weights == "drawn" else (0.0,):
                    if name == "floyd_warshall" and size > 64:
                        rows.append(on_pairs(size, samples, weights, beta))
                        print(json.dumps(rows[-1]), flush=True)
                        continue
                    reasoner = compiled.compiled(name, beta=beta)
                    began = time.perf_counter()
                    score = evaluate(reasoner, algorithm, graphs(algorithm, size, samples, weights))
                    seconds = time.perf_counter() - began
                    row = {"algorithm": name, "nodes": size, "weights": weights, "mode": "soft" if beta else "hard"}
                    row |= {"graphs": score.samples, "label_match": score.score, "exact": score.exact / score.samples}
                    row |= {"valid": (score.valid or 0) / score.samples, "worst_hint": worst(score)}
                    if name != "reachability":
                        traces = graphs(algorithm, size, samples, weights)
                        row["pointers_valid"] = pointers_valid(reasoner, algorithm, traces)
                    rows.append(row | {"seconds": round(seconds, 1)})
                    print(json.dumps(rows[-1]), flush=True)
    return rows


def worst(score):
    """The lowest score of any discrete hint at any step, and the largest squared error of any scalar."""
    tallies = [tally for steps in score.hints.values() for tally in steps]
    discrete = [t.value() for t in tallies if t.metric != "mse"]
    scalars = [t.value() for t in tallies if t.metric == "mse"]
    return {"score": min(discrete, default=1.0), "mse": max(scalars, default=0.0)}


def on_pairs(size, samples, weights, beta):
    """Floyd-Warshall without the decoder of its hint Pi_h, whose N^3 logits per step take minutes per graph.

    Its pointers are compared where the processor keeps them; the output Pi and the other hints go through the decoders
    as ever. (Encoders average Pi_h away, and the reference's give it no weight.)
    """
    algorithm, reasoner = datasets.get("floyd_warshall"), compiled.compiled("floyd_warshall", beta=beta)
    encoder, decoder = reasoner.coders("floyd_warshall")
    for coder in (encoder, decoder):
        del coder.probes["Pi_h"]
    errors, worst_mse = {"Pi": 0, "Pi_h": 0, "msk": 0, "k": 0}, 0.0
    exact, began = 0, time.perf_counter()
    for trace in graphs(algorithm, size, samples, weights):
        batch = collate([trace], algorithm)
        with torch.no_grad():
            rollout = reasoner(batch, keep_states=True, decide_hints=True)
        for step, hints in enumerate(rollout.hints):
            truth = {
                name: torch.as_tensor(np.asarray(trace.compact[name][step + 1])) for name in ("Pi_h", "D", "msk", "k")
            }
            pointers = (rollout.states[step][1][0, ..., 2] * size).round()  # held as positions i / n
            errors["Pi_h"] += int((pointers != truth["Pi_h"]).sum())
            errors["msk"] += int((hints["msk"][0] != truth["msk"]).sum())
            errors["k"] += int(hints["k"][0] != truth["k"])
            worst_mse = max(worst_mse, float((hints["D"][0] - truth["D"]).square().mean()))
        wrong = int((rollout.outputs["Pi"][0].argmax(-1).numpy() != trace.compact["Pi"]).sum())
        errors["Pi"] += wrong
        exact += not wrong
    row = {"algorithm": "floyd_warshall", "nodes": size, "weights": weights, "mode": "soft" if beta else "hard"}
    row |= {"graphs": samples, "label_match": 1 - errors["Pi"] / (samples * size**2), "exact": exact / samples}
    return row | {
        "wrong_entries": errors,
        "worst_hint": {"mse": worst_mse},
        "seconds": round(time.perf_counter() - began),
    }


def audits(names):
    found = {}
    for name in names:
        algorithm, reasoner = datasets.get(name), compiled.compiled(name)
        sizes = (4, 8, 16, 32, 64) if name == "floyd_warshall" else (4, 8, 16, 32, 64, 128)
        found[name] = {"precision": precision(reasoner, algorithm, sizes=sizes)}
        if "scale" in algorithm.params:
            found[name]["scales"] = scales(reasoner, algorithm, size=32)
        print(name, json.dumps(found[name]), flush=True)
    return found


def trained(names, seeds, folder):
    """Small runs, 300 steps of hidden size 32: enough to differ, minutes on one core."""
    from nar.experiments.experiment import train

    runs = []
    for name in names:
        for seed in range(seeds):
            out = pathlib.Path(folder) / f"{name}-mpnn-seed{seed}"
            settings = {"algo": name, "processor": "mpnn", "hidden": 32, "steps": 300, "seed": seed, "out": out}
            train(Config(**settings, eval_sizes=(), device="cpu", threads=1))
            runs.append(str(out))
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="*", default=[], help="run directories to measure")
    parser.add_argument("--train", nargs="*", default=[], help="algorithms to train small runs of")
    parser.add_argument("--seeds", type=int, default=5, help="small runs of each")
    parser.add_argument("--names", nargs="*", default=sorted(compiled.PROGRAMS), help="references")
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 256], help="sizes of the references' graphs")
    parser.add_argument("--samples", type=int, default=32, help="graphs of each size")
    parser.add_argument("--size", type=int, default=64, help="nodes on which runs are measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = json.loads(FILE.read_text()) if FILE.is_file() else {}
    result["provenance"] = provenance(torch.device("cpu"))
    if options.runs or options.train:
        with tempfile.TemporaryDirectory() as folder:
            runs = [*options.runs, *trained(options.train, options.seeds, folder)]
            found = report.compare(runs, size=options.size, samples=options.samples)
        result["faithfulness"] = found
        print(report.text(found))
    else:
        rows = on_references(options.sizes, options.samples, options.names)
        again = {(row["algorithm"], row["nodes"]) for row in rows}
        kept = [row for row in result.get("references", []) if (row["algorithm"], row["nodes"]) not in again]
        result["references"] = kept + rows
        result["audits"] = result.get("audits", {}) | audits(options.names)
    files.write_json(FILE, result)


if __name__ == "__main__":
    main()
