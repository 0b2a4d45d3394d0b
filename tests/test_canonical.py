"""Benchmark sets: the same bits for ever, and a manifest that says so."""

import json

import numpy as np
import pytest

import nar.datasets
from nar.datasets.canonical import canonical, content_hash, draw, fixed_set

# Of the validation and test sets of clrs30-v1, taken when every probe of every trace in them was equal, bit for bit, to
# what dm-clrs 2.0.3 generated for the same seeds.
HASHES = {
    "bellman_ford": {
        "val": "2ede496d42a8795291a8f46886457dd08ec4dc6b91513668d7e8aa87e88590c0",
        "test": "09ad118f383bdd23a6c0443171a9b005664794bb834355864d42c591a409c93f",
    },
    "bfs": {
        "val": "0f9b0ae2bac4d88aa66b49be866887e30c1574a72eafe422a587dfd3f696f3dd",
        "test": "1aed4783c0a57ca4e86bba244520bf13c62258d86e7cafebb475ce1100efa5cd",
    },
    "dag_shortest_paths": {
        "val": "d8140860abec1e96ff1a4bf3d3d03e097a74e7cdfc9174974f97b7dc74717159",
        "test": "f7da9f278b6bc005798ea83f473efbcd7f3cd65f4fb300506ed66d110db69487",
    },
    "dijkstra": {
        "val": "a28197c08f270b479599ce8fdb281242334b9a2c8712b0ca0ad2dc1e8dc2b0e1",
        "test": "b2a863b45f3f25b59ce4889f905cb4826b678db4948309749187aa81ac6c746e",
    },
    "floyd_warshall": {
        "val": "96346494c5c5c0167e7dc9236d7c2584c35b7b228965657963760f0d31f88465",
        "test": "52f9eabc07bd22f6048722bca609152d5adbea733ceb88aa774a2df31e0eba90",
    },
    "insertion_sort": {
        "val": "ba4c9627997f2c1f9d2e70d84cc4a26cacadb00c2ce7204d51b4c454949513d5",
        "test": "e0579213a8473822b85d2cd9eb9cff1a503758ec5985bc6874bf5e4aab4928b6",
    },
    "minimum": {
        "val": "8917a63edef32a75220c22376277dc954c80be7e5bca8bc2c6547c89de7cacd0",
        "test": "59bb226b08c19a4b312591accb1e23505a868fd8988c65fc2f7614d1734a8b7a",
    },
    "mst_prim": {
        "val": "90d1a1d105a39b3f3195f07d4dc64e026a035b48668b5d91fa1573856e6a8c63",
        "test": "7010db599917c9136a852664a29bd3f1d51e99edf506c897d4a76d63f1ce16cc",
    },
}


@pytest.mark.parametrize("name", nar.datasets.names())
@pytest.mark.parametrize("split", ["val", "test"])
def test_canonical_sets_are_the_published_ones(name, split):
    traces, manifest = canonical("clrs30-v1", split, name)
    algorithm = nar.datasets.get(name)
    samples = 2048 if name == "minimum" else 32
    length, seed = {"val": (16, 2), "test": (64, 3)}[split]
    assert len(traces) == samples and all(trace.nodes == length for trace in traces)
    assert manifest.pop("generator").startswith("nar ")
    assert manifest == {
        "set": f"clrs30-v1/{split}",
        "seed": seed,
        "length": length,
        "params": {k: list(v) if isinstance(v, tuple) else v for k, v in algorithm.params.items()},
        "samples": samples,
        "sha256": HASHES[name][split],
    }


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
    assert manifest["params"] == {"p": [0.2, 0.4], "low": 0.0, "high": 1.0}
    assert json.loads(json.dumps(manifest)) == manifest
    assert content_hash(draw(algorithm, 9, 4, 7, {"p": (0.2, 0.4)})) == manifest["sha256"]
    assert fixed_set("bellman_ford", 9, 4, 8)[1]["sha256"] != fixed_set("bellman_ford", 9, 4, 7)[1]["sha256"]


def test_the_hash_sees_every_probe_and_no_byte_order():
    traces, manifest = fixed_set("dijkstra", 5, samples=2, seed=0)
    for name, array in traces[1].compact.items():
        original = array.copy()
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
        (("clrs30", "val", "bfs"), "unknown benchmark set 'clrs30'; did you mean 'clrs30-v1'"),
        (("clrs30-v1", "valid", "bfs"), "unknown split of clrs30-v1 'valid'; did you mean 'val'"),
        (("clrs30-v1", "val", "bsf"), "unknown algorithm 'bsf'; did you mean 'bfs'"),
    ],
)
def test_unknown_sets(arguments, message):
    with pytest.raises(ValueError, match=message):
        canonical(*arguments)


def test_a_set_needs_a_sample():
    with pytest.raises(ValueError, match="samples must be a positive integer, got 0"):
        fixed_set("bfs", 4, samples=0, seed=0)
