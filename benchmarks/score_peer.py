"""A training of dm-clrs until a score is reached: the other side of benchmarks/time_to_score.py.

Run with a Python that has dm-clrs (not nar's own environment); takes a task and prints one line of JSON:

    python benchmarks/score_peer.py '{"algo": "bfs", "seed": 0, "mark": 0.99, "limit": 60, "ratio": 1.25}'

Training is that of examples/run.py with its default flags, as in benchmarks/clrs_peer.py: a sampler for each of the
sizes 4, 7, 11, 13, 16, a batch of each in turn, 10,000 updates of triplet_gmpnn with 128 features. XLA compiles anew
for every size, and whenever a longer trajectory turns up: such updates are those of new shapes. The score is that of
`clrs.evaluate` on the test set of CLRS-30 (32 graphs of 64 nodes, seed 3).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time

import clrs
import clrs_peer
import jax
import numpy as np
from time_to_score import until_mark

SIZES = (4, 7, 11, 13, 16)
STEPS, BATCH, HIDDEN = 10_000, 32, 128


def settings(task, nodes):
    """What clrs_peer.py is told on its command line."""
    return argparse.Namespace(
        algo=task["algo"], processor="triplet_gmpnn", nodes=nodes, batch=BATCH, hidden=task.get("hidden", HIDDEN),
        seed=task["seed"], eval=False,
    )  # fmt: skip


def test_batch(algorithm):
    """The canonical test set as one batch."""
    about = clrs.CLRS30["test"]
    many = clrs.CLRS_30_ALGS_SETTINGS.get(algorithm, {}).get("num_samples_multiplier", 1)
    sampler, spec = clrs.build_sampler(
        algorithm, num_samples=about["num_samples"] * many, seed=about["seed"], length=about["length"]
    )
    stream = iter(lambda: sampler.next(None), None)
    if algorithm in clrs_peer.PRED_AS_INPUT:
        spec, stream = clrs.process_pred_as_input(spec, stream)
    _, stream = clrs.process_permutations(spec, stream, enforce_permutations=True)
    return next(stream)


def main():
    task = json.loads(sys.argv[1])
    rng = np.random.RandomState(task["seed"])
    keys = [jax.random.PRNGKey(rng.randint(2**32, dtype=np.int64))]
    test, began = test_batch(task["algo"]), time.process_time()
    drawn = [clrs_peer.make_stream(settings(task, nodes), rng) for nodes in SIZES]
    spec, streams = drawn[0][0], [stream for _, stream in drawn]
    model = clrs_peer.make_model(settings(task, SIZES[0]), spec, next(streams[0]))
    shapes, setting_up = set(), time.process_time() - began

    def key():
        keys[0], one = jax.random.split(keys[0])
        return one

    def update(step):
        feedback = next(streams[step % len(SIZES)])
        jax.block_until_ready(model.feedback(key(), feedback))
        shape = (step % len(SIZES), clrs_peer.hint_length(feedback))
        return shape not in shapes and (shapes.add(shape) or True)

    def score():
        outputs, _ = model.predict(key(), test.features)
        return clrs.evaluate(test.outputs, outputs)["score"]

    limits = {name: task[name] for name in ("mark", "limit", "ratio")}
    steps = task.get("steps", STEPS)
    found = until_mark(update, score, steps=steps, spent=setting_up, **limits)
    packages = ("dm-clrs", "jax", "jaxlib", "dm-haiku", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps(found | {"planned_steps": steps, "versions": versions}))


if __name__ == "__main__":
    main()
