"""Benchmark sets: the same bits for ever, and a manifest that says so."""

import json
import pathlib

import numpy as np
import pytest

import nar.datasets
from nar.datasets.canonical import CLRS30, canonical, content_hash, draw, fixed_set

# Taken by golden/record_canonical.py when every probe of every trace was equal to dm-clrs's, bit for bit.
RECORDED = json.loads(pathlib.Path(__file__).with_name("golden").joinpath("canonical.json").read_text())


@pytest.mark.parametrize("name", CLRS30)
@pytest.mark.parametrize("split", ["val", "test"])
def test_canonical_sets_are_the_published_ones(name, split):
    traces, manifest = canonical("clrs30-v1", split, name)
    algorithm, recorded = nar.datasets.get(name), RECORDED[f"clrs30-v1/{split}/{name}"]
    length, seed = {"val": (16, 2), "test": (64, 3)}[split]
    params = {k: list(v) if isinstance(v, tuple) else v for k, v in algorithm.params.items()}
    if algorithm.category == "strings":
        params["length_needle"] = length // 4
        length += length // 4
    assert len(traces) == 32 * algorithm.num_samples_multiplier
    assert manifest.pop("generator").startswith("nar ")
    hashed = manifest.pop("sha256")
    if "rounded" in recorded:  # the last bit of sin, cos and arctan2 depends on the machine
        assert rounded_hash(traces) == recorded["rounded"]
    else:
        assert hashed == recorded["sha256"]
    assert manifest == {
        "set": f"clrs30-v1/{split}", "seed": seed, "length": length, "params": params, "samples": len(traces)
    }  # fmt: skip


def test_the_second_generation_differs_in_string_matching_alone():
    for name in ("bfs", "naive_string_matcher"):
        (first, one), (second, two) = canonical("clrs30-v1", "val", name), canonical("clrs30-v2", "val", name)
        assert (one["sha256"] == two["sha256"]) == (name == "bfs")
        assert two["set"] == "clrs30-v2/val"
    assert (one["length"], two["length"]) == (20, 16)
    assert (one["params"]["length_needle"], two["params"]["length_needle"]) == (4, None)
    assert (sum(first[0].compact["string"]), sum(second[0].compact["string"])) == (4, 3)
    assert two["sha256"] == RECORDED["clrs30-v2/val/naive_string_matcher"]["sha256"]
    test = canonical("clrs30-v2", "test", "kmp_matcher")
    assert test[1]["sha256"] == RECORDED["clrs30-v2/test/kmp_matcher"]["sha256"]
    assert test[0][0].nodes == 64 and sum(test[0][0].compact["string"]) == 12


def rounded_hash(traces):
    for trace in traces:
        trace.compact = {
            name: np.round(value, 9) + 0.0 if np.asarray(value).dtype.kind == "f" else value
            for name, value in trace.compact.items()
        }
    return content_hash(traces)


def test_the_training_set_has_a_thousand_samples_whatever_the_multiplier():
    traces, manifest = canonical("clrs30-v1", "train", "minimum")
    assert (len(traces), manifest["samples"], manifest["seed"], manifest["length"]) == (1000, 1000, 1, 16)


def test_sets_of_other_sizes():
    algorithm = nar.datasets.get("bellman_ford")
    traces, manifest = fixed_set(algorithm, 9, samples=4, seed=7, params={"p": (0.2, 0.4)})
    rng = np.random.RandomState(7)
    for trace in traces:
        A = algorithm.sample(rng, 9, p=(0.2, 0.4))["A"]
        np.testing.assert_array_equal(trace.compact["A"], A)
    assert manifest["set"] == "fixed"
    assert manifest["params"] == {
        "p": [0.2, 0.4], "low": 0.0, "high": 1.0, "family": "erdos_renyi", "options": None, "law": "uniform",
        "scale": 1.0,
    }  # fmt: skip
    assert json.loads(json.dumps(manifest)) == manifest
    assert content_hash(draw(algorithm, 9, 4, 7, {"p": (0.2, 0.4)})) == manifest["sha256"]
    assert fixed_set("bellman_ford", 9, 4, 8)[1]["sha256"] != fixed_set("bellman_ford", 9, 4, 7)[1]["sha256"]


def test_the_hash_sees_every_probe_and_no_byte_order():
    traces, manifest = fixed_set("dijkstra", 5, samples=2, seed=0)
    for name, array in traces[1].compact.items():
        original = np.array(array)
        swapped = original.astype(original.dtype.newbyteorder(">"))
        traces[1].compact[name] = swapped
        assert content_hash(traces) == manifest["sha256"], name
        changed = original.copy()
        changed[...] += 1
        traces[1].compact[name] = changed
        assert content_hash(traces) != manifest["sha256"], name
        traces[1].compact[name] = original


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clrs30", "val", "bfs"), "unknown benchmark set 'clrs30'; did you mean 'clrs30-v2'"),
        (("clrs30-v1", "valid", "bfs"), "unknown split of clrs30-v1 'valid'; did you mean 'val'"),
        (("clrs30-v1", "val", "find_maximum_subarray"), "did you mean 'find_maximum_subarray_kadane'"),
        (("clrs30-v1", "val", "bsf"), "unknown algorithm 'bsf'; did you mean 'bfs'"),
    ],
)
def test_unknown_sets(arguments, message):
    with pytest.raises(ValueError, match=message):
        canonical(*arguments)


def test_a_set_needs_a_sample():
    with pytest.raises(ValueError, match="samples must be an integer of at least 1, got 0"):
        fixed_set("bfs", 4, samples=0, seed=0)
