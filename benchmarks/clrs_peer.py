"""What one training step costs in dm-clrs: the other side of benchmarks/train_step.py.

Run with a Python that has dm-clrs (not nar's own environment); prints one line of JSON:

    python benchmarks/clrs_peer.py --algo bellman_ford --processor mpnn --nodes 16
    python benchmarks/clrs_peer.py --algo bellman_ford --processor mpnn --eval            # model.predict, 64 nodes

Training data is drawn as in dm-clrs's examples/run.py with its default flags: density p of graphs from 0.1 ... 0.9
(halved where run.py halves it), random positions, `pred` as input, sorting outputs as permutations, hints padded to the
longest trajectory seen so far, of which 1000 samples give the first estimate. Test data as run.py's: the sampler's own
defaults and positions, padded to the longest of the batch. Batches are drawn beforehand and only `model.feedback`
(or `model.predict`) is measured, until its result is there; compilation is not. A model that is slow is called fewer
times (`--seconds`), which the result says.

XLA computes with as many threads as it has cores. `cpu_seconds` is process time, which adds up all threads and so
compares programs that use different numbers of them; `wall_seconds` is what a user waits. Both are medians over the
measured calls. `taskset -c 0 python ...` measures one core.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource

import clrs
import jax
import numpy as np
from measuring import timed

PRED_AS_INPUT = frozenset(
    "binary_search minimum find_maximum_subarray find_maximum_subarray_kadane matrix_chain_order lcs_length "
    "optimal_bst activity_selector task_scheduling naive_string_matcher kmp_matcher jarvis_march".split()
)
SPARSE = frozenset({"articulation_points", "bridges", "mst_kruskal", "bipartite_matching"})
WARM_UP = 2  # calls before measuring; the first one compiles


def make_stream(args, rng):
    """The specification and an endless stream of batches, transformed as in the protocol."""
    if args.eval:
        samples, settings = args.batch, {}
    else:
        p = tuple((0.1 + 0.1 * i) / (2 if args.algo in SPARSE else 1) for i in range(9))
        samples, settings = -1, {"p": p, "length_needle": -8}
    seed = rng.randint(2**32, dtype=np.int64)
    sampler, spec = clrs.build_sampler(args.algo, num_samples=samples, seed=seed, length=args.nodes, **settings)
    stream = iter(lambda: sampler.next(None if args.eval else args.batch), None)
    if not args.eval:
        stream = clrs.process_random_pos(stream, rng)
    if args.algo in PRED_AS_INPUT:
        spec, stream = clrs.process_pred_as_input(spec, stream)
    return clrs.process_permutations(spec, stream, enforce_permutations=True)


def hint_length(feedback):
    return feedback.features.hints[0].data.shape[0]


def draw_batches(stream, count):
    """As many batches of one padded length: when a longer trajectory turns up, start again with that length."""
    batches = []
    while len(batches) < count:
        feedback = next(stream)
        if batches and hint_length(feedback) > hint_length(batches[0]):
            batches.clear()
        batches.append(feedback)
    return batches


def make_model(args, spec, feedback):
    factory = clrs.get_processor_factory(args.processor, use_ln=True, nb_triplet_fts=8, nb_heads=1)
    model = clrs.models.BaselineModel(
        spec=spec,
        dummy_trajectory=feedback,
        processor_factory=factory,
        hidden_dim=args.hidden,
        encode_hints=True,
        decode_hints=True,
        encoder_init="xavier_on_scalars",
        learning_rate=1e-3,
        grad_clip_max_norm=1.0,
        hint_repred_mode="soft",
    )
    model.init(feedback.features, seed=args.seed + 1)
    return model


def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--algo", default="bellman_ford")
    parser.add_argument("--processor", default="mpnn")
    parser.add_argument("--nodes", type=int, help="default: 16; 64 with --eval")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="calls to measure, at most")
    parser.add_argument("--seconds", type=float, default=60, help="after which no further call is begun, but for two")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--eval", action="store_true", help="time model.predict instead of a training step")
    args = parser.parse_args()
    args.nodes = args.nodes or (64 if args.eval else 16)
    if args.steps < 1:
        parser.error(f"--steps must be at least 1, got {args.steps}")
    return args


def main():
    args = parse()
    rng = np.random.RandomState(args.seed)
    key = jax.random.PRNGKey(rng.randint(2**32, dtype=np.int64))
    spec, stream = make_stream(args, rng)
    count = WARM_UP + args.steps
    batches = [next(stream)] * count if args.eval else draw_batches(stream, count)
    model = make_model(args, spec, batches[0])
    keys = iter(jax.random.split(key, count))

    def call(feedback):
        if args.eval:
            jax.block_until_ready(model.predict(next(keys), feedback.features))
        else:
            jax.block_until_ready(model.feedback(next(keys), feedback))

    timing = timed(call, batches, seconds=args.seconds, warm_up=WARM_UP)
    medians = timing.medians()
    message_steps = max(1, hint_length(batches[0]) - 1)
    packages = ("dm-clrs", "jax", "jaxlib", "dm-haiku", "numpy")
    lengths = np.concatenate([feedback.features.lengths for feedback in batches])
    result = {
        "what": "predict" if args.eval else "train_step",
        **{name: getattr(args, name) for name in ("algo", "processor", "nodes", "batch", "hidden", "seed")},
        **medians,
        **{f"{name}_per_message_step": value / message_steps for name, value in medians.items()},
        "cpu_seconds_range": [min(timing.cpu), max(timing.cpu)],
        "first_call_wall_seconds": timing.first,
        "calls": len(timing.cpu),
        "padded_hint_length": hint_length(batches[0]),
        "mean_hint_length": float(lengths.mean()),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cores": len(os.sched_getaffinity(0)),
        "device": jax.devices()[0].platform,
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
