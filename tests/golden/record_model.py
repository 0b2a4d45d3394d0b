"""Record what dm-clrs's own model computes, as the reference against which nar's engine is tested.

Long because it runs where nar is not installed: one file, which imports nothing of it.

Run with a Python that has dm-clrs 2.0.3 (not nar's own environment), from anywhere; takes about ten minutes:

    python tests/golden/record_model.py            # everything
    python tests/golden/record_model.py --counts   # only parameter_counts.json

Model: BaselineModel, hidden 16, 8 triplet features, 1 head, LayerNorm, encoders xavier_on_scalars, hints encoded and
decoded. After the seeded initialisation, normal noise (std NOISE) is added to every parameter, so that biases,
LayerNorm and gates matter; then every parameter is rounded to a multiple of 1/GRID, which changes nothing in principle
(these *are* the parameters) and lets the files compress. Everything is float32 unless said otherwise.

`model_batch_<algorithm>.npz`: one batch of B samples with n nodes, after the protocol's transforms (random positions,
sorting outputs as permutations), in dm-clrs's shapes: pointers are indices, mask_one and categoricals one-hot rows.

    spec                  text [probes, 4]: name, stage, location, type, in dm-clrs's order after the transforms
    input/<probe>         [B, ...]
    hint/<probe>          [T, B, ...], padded to the longest sample
    output/<probe>        [B, ...]
    lengths               int32 [B], number of hint snapshots of every sample

`model_<algorithm>_<kind>.npz`: parameters and results for that batch.

    param                 [P] all parameters behind one another, each in C order; one array, as zip's overhead for
                          many small ones would double the files
    param/names           text [K]: "<haiku module>:<name>" in that order
    param/shapes          int32 [K, 2]: rows and columns; vectors have 0 rows
    grad                  [P] gradients of soft/train/loss, ordered as param; only WITH_GRADIENTS
    <mode>/...            mode is soft or hard: how predicted hints are fed back (hint_repred_mode)
      eval/hint/<probe>       [T-1, B, ...] raw predictions (logits); the one of step s is meant for hint s+1
      eval/output/<probe>     [B, ...] raw predictions, of step max(0, length - 2) of every sample; a permutation
                              pointer is the log of a doubly stochastic matrix
      eval/predicted/<probe>  [B, ...] postprocessed output (model.predict): indices, one-hot rows, 0/1
      eval/score/<probe>      float64 [], clrs.evaluate of the above; eval/score/score is the mean
      eval/hint_score/<probe> float64 [], clrs.evaluate_hints of the hard-postprocessed hint predictions
      eval/hint_score_along_time/<probe>  float64 [T-1], the same by step
      train/loss              [], the total loss in training mode (repred=False), teacher forcing 0
      train/loss_of/<probe>   [], its summands
    tf1/train/hint, output, loss, loss_of: training in soft mode with hint_teacher_forcing = 1, where the true hints are
                              fed, unrounded

tests/haiku_parameters.py reads param and grad, and says which haiku module is which map.

Without teacher forcing, dropout and Gumbel noise, training mode predicts exactly what evaluation mode predicts. This is
checked while recording (CLOSE), so <mode>/train has no predictions of its own: compare with <mode>/eval/hint and
<mode>/eval/output.

In both files: versions (text), note (text).

In training, dm-clrs adds Gumbel noise to the logits of permutation pointers (the output of insertion_sort) before
Sinkhorn. Here this noise is switched off, so all `train` entries are deterministic.

Hard feedback is discontinuous: seeds of the noise are tried in turn until no decision fed back (argmax, threshold) is
closer than MARGIN, so that the last bits of an implementation cannot flip one.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import platform
from pathlib import Path

import clrs
import jax
import numpy as np
from clrs._src import decoders, losses

HERE = Path(__file__).parent
KINDS = ("mpnn", "pgn", "gat", "gatv2", "deepsets", "triplet_gmpnn")
# n, B and the sampler's seed; that of bellman_ford gives samples of lengths 1, 5, 3, 2
BATCHES = {"bellman_ford": (5, 4, 171), "insertion_sort": (5, 3, 1), "floyd_warshall": (4, 3, 1)}
WITH_GRADIENTS = (("bellman_ford", "mpnn"), ("bellman_ford", "triplet_gmpnn"))
COUNTED_KINDS = (
    *("deepsets", "gat", "gatv2", "gat_full", "gatv2_full", "mpnn", "pgn", "pgn_mask", "gmpnn", "gpgn"),
    *("triplet_mpnn", "triplet_pgn", "triplet_gmpnn", "triplet_gpgn"),
)
PRED_AS_INPUT = ("minimum",)  # those of the protocol's list that could be added to BATCHES
HIDDEN = 16
NOISE = 0.2
GRID = 128
MARGIN = 5e-4
CLOSE = {"rtol": 1e-4, "atol": 1e-4}
KEY = jax.random.PRNGKey(0)  # unused by the network once the Gumbel noise is off, but haiku wants one

VERSIONS = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("dm-clrs", "jax", "jaxlib", "dm-haiku", "numpy"))
NOTE = "training mode is recorded without the Gumbel noise of permutation pointers; see tests/golden/record_model.py"


def without_noise(log_sinkhorn):
    @functools.wraps(log_sinkhorn)
    def deterministic(*args, noise_rng_key, **kwargs):
        return log_sinkhorn(*args, noise_rng_key=None, **kwargs)

    return deterministic


def make_batch(algorithm):
    """The spec after the transforms, and all samples of one small data set as one batch (floats as float32)."""
    nodes, samples, seed = BATCHES[algorithm]
    p = tuple(0.1 + 0.1 * i for i in range(9))
    kwargs = {} if algorithm == "insertion_sort" else {"p": p}
    sampler, spec = clrs.build_sampler(algorithm, num_samples=samples, seed=seed, length=nodes, **kwargs)
    stream = clrs.process_random_pos(iter([sampler.next()]), np.random.RandomState(seed))
    if algorithm in PRED_AS_INPUT:
        spec, stream = clrs.process_pred_as_input(spec, stream)
    spec, stream = clrs.process_permutations(spec, stream, enforce_permutations=True)
    feedback = next(stream)
    for probe in (*feedback.features.inputs, *feedback.features.hints, *feedback.outputs):
        probe.data = np.asarray(probe.data, np.float32)
    return spec, feedback


def make_model(spec, feedback, kind, *, hidden=HIDDEN, mode="soft", teacher_forcing=0.0):
    factory = clrs.get_processor_factory(kind, use_ln=True, nb_triplet_fts=8, nb_heads=1)
    return clrs.models.BaselineModel(
        spec=spec,
        dummy_trajectory=feedback,
        processor_factory=factory,
        hidden_dim=hidden,
        encode_hints=True,
        decode_hints=True,
        encoder_init="xavier_on_scalars",
        learning_rate=1e-3,
        grad_clip_max_norm=1.0,
        hint_teacher_forcing=teacher_forcing,
        hint_repred_mode=mode,
    )


def batch_arrays(spec, feedback):
    arrays = {"spec": np.array([(name, *attributes) for name, attributes in spec.items()])}
    features = feedback.features
    for stage, probes in (("input", features.inputs), ("hint", features.hints), ("output", feedback.outputs)):
        for probe in probes:
            arrays[f"{stage}/{probe.name}"] = probe.data
    arrays["lengths"] = features.lengths.astype(np.int32)
    return arrays


def noisy(params, seed):
    rng = np.random.RandomState(seed)
    return {
        module: {
            name: (np.round((w + NOISE * rng.standard_normal(w.shape)) * GRID) / GRID).astype(np.float32)
            for name, w in sorted(params[module].items())
        }
        for module in sorted(params)
    }


def flat(tree):
    """One vector of all leaves in the order of sorted names, with the names and the shapes."""
    leaves = [
        (f"{module}:{name}", np.asarray(tree[module][name])) for module in sorted(tree) for name in sorted(tree[module])
    ]
    names = np.array([name for name, _ in leaves])
    shapes = np.array([(0,) * (2 - w.ndim) + w.shape for _, w in leaves], np.int32)
    return np.concatenate([w.ravel() for _, w in leaves]), names, shapes


class Runner:
    """A model, with its functions compiled once for the one batch."""

    def __init__(self, spec, feedback, kind, **settings):
        self.spec, self.feedback = spec, feedback
        self.model = make_model(spec, feedback, kind, **settings)
        self.raw = jax.jit(functools.partial(self._raw, repred=True))
        self.train = jax.jit(self._train)

    def _raw(self, params, repred):
        return self.model.net_fn.apply(
            params,
            KEY,
            [self.feedback.features],
            repred=repred,
            algorithm_index=0,
            return_hints=True,
            return_all_outputs=False,
        )

    def _train(self, params):
        outputs, hints = self._raw(params, repred=False)
        features = self.feedback.features
        nodes = features.inputs[0].data.shape[1]
        parts = {t.name: losses.output_loss(t, outputs[t.name], nodes) for t in self.feedback.outputs}
        for t in features.hints:
            parts[t.name] = losses.hint_loss(t, [h[t.name] for h in hints], features.lengths, nodes)
        return outputs, hints, self.model._loss(params, KEY, self.feedback, 0), parts

    def predictions(self, outputs, hints):
        arrays = {f"hint/{name}": np.stack([h[name] for h in hints]) for name in hints[0]}
        return arrays | {f"output/{name}": np.asarray(data) for name, data in outputs.items()}

    def evaluation(self, params):
        """Evaluation mode: raw predictions, postprocessed outputs, scores."""
        self.model.params = params
        outputs, hints = self.raw(params)
        arrays = self.predictions(outputs, hints)
        predicted = numpy_data(self.model.predict(KEY, self.feedback.features)[0])
        arrays |= {f"predicted/{name}": np.asarray(p.data, np.float32) for name, p in predicted.items()}
        scores = clrs.evaluate(self.feedback.outputs, predicted)
        arrays |= {f"score/{name}": np.asarray(value, np.float64) for name, value in scores.items()}
        hard = functools.partial(decoders.postprocess, sinkhorn_temperature=0.1, sinkhorn_steps=25, hard=True)
        features = self.feedback.features
        scores = clrs.evaluate_hints(features.hints, features.lengths, [numpy_data(hard(self.spec, h)) for h in hints])
        for name, value in scores.items():
            probe = name.removesuffix("_along_time")
            key = "hint_score" if probe == name else "hint_score_along_time"
            arrays[f"{key}/{probe}"] = np.asarray(value, np.float64)
        return arrays

    def training(self, params):
        """Training mode: raw predictions and losses. Checks that the summands add up to the model's own loss."""
        outputs, hints, loss, parts = self.train(params)
        np.testing.assert_allclose(loss, sum(parts.values()), rtol=1e-5)
        summands = {f"loss_of/{name}": np.asarray(x) for name, x in parts.items()}
        return self.predictions(outputs, hints) | {"loss": np.asarray(loss)} | summands


def numpy_data(probes):
    for probe in probes.values():
        probe.data = np.asarray(probe.data)
    return probes


def margin(spec, arrays):
    """How close the closest decision among the predicted hints and outputs is."""
    closest = np.inf
    for key, data in arrays.items():
        part, name = key.split("/", 1)
        if part not in ("hint", "output"):
            continue
        kind = spec[name][2]
        if kind == clrs.Type.MASK:
            closest = min(closest, np.abs(data).min())
        elif kind != clrs.Type.SCALAR:
            top = np.sort(data, axis=-1)
            closest = min(closest, (top[..., -1] - top[..., -2]).min())
    return closest


def with_prefix(prefix, arrays):
    return {f"{prefix}/{key}": value for key, value in arrays.items()}


def record(algorithm, kind, spec, feedback):
    runners = {mode: Runner(spec, feedback, kind, mode=mode) for mode in ("soft", "hard")}
    runners["tf1"] = Runner(spec, feedback, kind, teacher_forcing=1.0)
    model = runners["soft"].model
    model.init(feedback.features, seed=0)
    initial = model.params
    for seed in range(100):
        params = noisy(initial, seed)
        evaluations = {mode: runners[mode].evaluation(params) for mode in ("soft", "hard")}
        closest = min(margin(spec, results) for results in evaluations.values())
        if closest > MARGIN:
            break
    else:
        raise RuntimeError(f"no noise seed below 100 keeps every decision {MARGIN} apart; lower MARGIN")

    arrays = {"versions": np.array(VERSIONS), "note": np.array(NOTE)}
    arrays["param"], arrays["param/names"], arrays["param/shapes"] = flat(params)
    for mode, results in evaluations.items():
        arrays |= with_prefix(f"{mode}/eval", results)
        trained = runners[mode].training(params)
        for key in [key for key in trained if key.startswith(("hint/", "output/"))]:
            np.testing.assert_allclose(trained.pop(key), results[key], **CLOSE)
        arrays |= with_prefix(f"{mode}/train", trained)
    arrays |= with_prefix("tf1/train", runners["tf1"].training(params))
    if (algorithm, kind) in WITH_GRADIENTS:
        loss, gradients = model.compute_grad(KEY, feedback)
        np.testing.assert_allclose(loss, arrays["soft/train/loss"], rtol=1e-5)
        arrays["grad"], names, _ = flat(gradients)
        assert (names == arrays["param/names"]).all()
    for name, data in arrays.items():
        assert data.dtype.kind in "iU" or np.isfinite(data).all(), name
    path = HERE / f"model_{algorithm}_{kind}.npz"
    np.savez_compressed(path, **arrays)
    loss = arrays["soft/train/loss"]
    print(
        f"{path.name}: noise seed {seed}, margin {closest:.1e}, loss {loss:.4f}, {path.stat().st_size} bytes",
        flush=True,
    )


def record_counts():
    counts = {}
    for algorithm in BATCHES:
        spec, feedback = make_batch(algorithm)
        counts[algorithm] = {}
        for kind in COUNTED_KINDS:
            model = make_model(spec, feedback, kind, hidden=128)
            init = functools.partial(
                model.net_fn.init, algorithm_index=-1, return_hints=False, return_all_outputs=False
            )
            shapes = jax.eval_shape(lambda key, init=init, f=feedback.features: init(key, [f], True), KEY)
            counts[algorithm][kind] = sum(int(np.prod(w.shape)) for w in jax.tree_util.tree_leaves(shapes))
    assert counts["bellman_ford"]["mpnn"] == 414_468, counts
    assert counts["bellman_ford"]["triplet_gmpnn"] == 524_604, counts
    settings = "hidden 128, 8 triplet features, 1 head, LayerNorm, no LSTM"
    content = {"versions": VERSIONS, "settings": settings, "parameters": counts}
    (HERE / "parameter_counts.json").write_text(json.dumps(content, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--counts", action="store_true", help="only write parameter_counts.json")
    arguments = parser.parse_args()
    print(VERSIONS, "python", platform.python_version())
    record_counts()
    if arguments.counts:
        return
    decoders.log_sinkhorn = without_noise(decoders.log_sinkhorn)
    for algorithm in BATCHES:
        spec, feedback = make_batch(algorithm)
        arrays = {"versions": np.array(VERSIONS), "note": np.array(NOTE)} | batch_arrays(spec, feedback)
        np.savez_compressed(HERE / f"model_batch_{algorithm}.npz", **arrays)
        print(algorithm, "lengths", feedback.features.lengths)
        for kind in KINDS:
            record(algorithm, kind, spec, feedback)


if __name__ == "__main__":
    main()
