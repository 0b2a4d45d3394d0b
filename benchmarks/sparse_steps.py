"""How far a step that is learned on 16 nodes holds on large sparse graphs: the recipe step in the sparse layout.

    python benchmarks/sparse_steps.py                       # an hour and a half on one thread
    python benchmarks/sparse_steps.py --algo bfs --sizes 100000 --samples 1

A reasoner is trained by the recipe for 500 steps of 16 graphs of 4 to 16 nodes, seed 42, without a choice among
checkpoints, and tested on graphs of SALSA-CLRS's three families: on its own decisions, for as many steps as the
algorithm takes. Where that is a step for each of 10,000 nodes, one family stands for the three: Delaunay's. Recorded is
the share of right nodes, of graphs with every node right, and of right answers, ties broken in any way. Written to
benchmarks/sparse_steps.json, a row as soon as it is there.
"""

from __future__ import annotations

import argparse
import pathlib
import time

import measuring
import result_files

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
IDENTITY = ("algo", "family", "nodes", "samples", "steps", "batch")
ALGORITHMS = ("bfs", "dijkstra", "mst_prim")
FAMILIES = ("sparse_erdos_renyi", "watts_strogatz", "delaunay")
SIZES = {16: 32, 160: 8, 1600: 1, 10_000: 1}  # nodes: graphs
STEPS, BATCH = 500, 16


def families(name, nodes):
    """Those that an algorithm is tested on at a size."""
    return FAMILIES if name == "bfs" or nodes < 10_000 else ("delaunay",)


def trained(name):
    """A reasoner after so many steps of the recipe."""
    from nar import datasets, recipes
    from nar.model.options.constants import find_constants
    from nar.model.reasoner import Reasoner
    from nar.training.learner import SingleLearner
    from nar.training.run import CONSTANTS_FROM
    from nar.training.tasks import training_batch

    config = recipes.config("step", algo=name, layout="sparse", batch_size=BATCH, steps=STEPS)
    algorithm = datasets.get(name)
    reasoner = Reasoner.from_config(config)
    batches = [training_batch(algorithm, config, step) for step in range(CONSTANTS_FROM)]
    find_constants(reasoner.coders(name)[1].choices, batches)
    learner = SingleLearner(reasoner.train(), config)
    for step in range(STEPS):
        learner.step([training_batch(algorithm, config, step)], step, progress=step / STEPS)
    return reasoner


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algo", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument(
        "--samples", type=int, default=0, help="graphs of each size; 0: 32 of 16 nodes, 8 of 160, 1 of more"
    )
    result_files.add_flags(parser, OUTPUT)
    options = parser.parse_args()

    import torch

    from nar import datasets
    from nar.evaluation.evaluate import entry
    from nar.system import allocator

    allocator.keep_freed_memory()  # as the command line does
    torch.set_num_threads(1)
    versions = measuring.made_by()
    for name in options.algo:
        reasoner = None
        for nodes in options.sizes:
            for family in families(name, nodes):
                row = {"algo": name, "family": family, "nodes": nodes, "steps": STEPS, "batch": BATCH}
                row["samples"] = options.samples or SIZES.get(nodes, 1)
                rows = result_files.load(options.output)["rows"]
                if not result_files.wanted(rows, row, versions, IDENTITY, again=options.again, keep=options.keep):
                    continue
                reasoner = reasoner or trained(name)
                began = time.process_time()
                found = entry(reasoner, datasets.get(name), nodes, samples=row["samples"], setting={"family": family})
                row |= {key: found[key] for key in ("score", "exact", "valid", "steps_mean")}
                row |= {"cpu_seconds": time.process_time() - began, "date": time.strftime("%Y-%m-%d")}
                row |= {"versions": measuring.versions() | versions}
                rows = result_files.put(rows, result_files.rounded(row), IDENTITY)
                result_files.save(options.output, {"rows": rows})
                print({key: row[key] for key in row if key != "versions"}, flush=True)


if __name__ == "__main__":
    main()
