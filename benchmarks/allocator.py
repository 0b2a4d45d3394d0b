"""What it saves to keep freed memory (nar/system/allocator.py): the same steps with C's allocator as it is, and set up.

    python benchmarks/allocator.py      # three minutes of one core

A measurement has a process of its own, both kinds in turns: rollouts of bfs on sparse random graphs (gin, hidden size
64) and training steps of the recipe step, as in benchmarks/sparse.py and benchmarks/train_step.py. Recorded are medians
over ROUNDS processes of the median CPU seconds of a step, and the pages that the system cleared. Written to
benchmarks/allocator.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import resource
import statistics
import time

import measuring
import result_files
import sparse

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
CASES = (
    *({"what": "rollout of bfs, gin, sparse", "nodes": nodes} for nodes in (300, 3000, 30_000)),
    {"what": "training of dijkstra, recipe step", "nodes": 16},
    {"what": "training of lcs_length, recipe step", "nodes": 16},
)
ROUNDS, STEPS = 3, 20


def measure(task):
    """CPU seconds and cleared pages of a step, in this process."""
    from nar.system import allocator

    if task["kept"] and not allocator.keep_freed_memory():
        raise SystemExit("this system's allocator is not glibc's")
    if task["nodes"] > 16:
        given = {"processor": "gin", "degree": 10, "hidden": 64, "threads": 1, "layout": "sparse"}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        found = sparse.measure(given | {"nodes": task["nodes"]}, allocator_as_it_is=True)
        pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        return {"cpu_seconds": found["cpu_seconds"], "pages": pages / found["steps"]}

    import torch

    from nar import datasets, recipes
    from nar.model.reasoner import Reasoner
    from nar.training.learner import SingleLearner
    from nar.training.tasks import training_batch

    torch.set_num_threads(1)
    name = task["what"].split()[2].rstrip(",")
    config = recipes.config("step", algo=name)
    learner = SingleLearner(Reasoner.from_config(config).train(), config)
    batches = [training_batch(datasets.get(name), config, step) for step in range(STEPS)]
    clock, pages = [], []
    for step, batch in enumerate(batches):
        clock.append(time.process_time())
        pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        learner.step([batch], step, progress=0.0)
    warm = STEPS // 4
    seconds = [b - a for a, b in itertools.pairwise(clock)][warm:]
    return {"cpu_seconds": statistics.median(seconds), "pages": (pages[-1] - pages[warm]) / (STEPS - 1 - warm)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(json.loads(options.worker))))
        return
    rows = []
    for case in CASES:
        found = {True: [], False: []}
        for kept in [False, True] * ROUNDS:
            found[kept].append(measuring.in_own_process(__file__, case | {"kept": kept}))
        medians = {
            f"{name}_{'kept' if kept else 'as_it_is'}": statistics.median(row[name] for row in found[kept])
            for name in ("cpu_seconds", "pages")
            for kept in (False, True)
        }
        ratio = medians["cpu_seconds_as_it_is"] / medians["cpu_seconds_kept"]
        rows.append(case | medians | {"times_faster": ratio})
        print(result_files.rounded(rows[-1]), flush=True)
    about = {"rounds": ROUNDS, "date": time.strftime("%Y-%m-%d"), **measuring.made_by()}
    result_files.save(OUTPUT, {"about": about, "rows": rows})


if __name__ == "__main__":
    main()
