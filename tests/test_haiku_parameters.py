"""The golden files of dm-clrs's model can be read, and every parameter has its place."""

import json
from pathlib import Path

import haiku_parameters as hp
import numpy as np
import pytest

from nar.traces.spec import Spec

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path for path in GOLDEN.glob("model_*.npz") if not path.stem.startswith("model_batch_"))
ALGORITHMS = ("bellman_ford", "floyd_warshall", "insertion_sort")


def recorded_spec(algorithm):
    with np.load(GOLDEN / f"model_batch_{algorithm}.npz", allow_pickle=False) as batch:
        return Spec({name: tuple(attributes) for name, *attributes in batch["spec"].tolist()})


def split(path):
    stem = path.stem.removeprefix("model_")
    algorithm = next(name for name in ALGORITHMS if stem.startswith(name))
    return algorithm, stem.removeprefix(f"{algorithm}_")


def test_all_eighteen_files_are_there():
    kinds = {"mpnn", "pgn", "gat", "gatv2", "deepsets", "triplet_gmpnn"}
    assert {split(path) for path in FILES} == {(a, k) for a in ALGORITHMS for k in kinds}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_parameter_is_read_once(path):
    algorithm, kind = split(path)
    parameters = hp.load_parameters(path, recorded_spec(algorithm), kind)
    with np.load(path, allow_pickle=False) as file:
        vector = file["param"]
        if "grad" in file:
            gradients = hp.load_parameters(path, recorded_spec(algorithm), kind, key="grad")
            assert gradients.keys() == parameters.keys()
    # The values are multiples of 1/128, so their sum is exact in float64 whatever the order.
    assert sum(w.astype(np.float64).sum() for w in parameters.values()) == vector.astype(np.float64).sum()
    assert sum(w.size for w in parameters.values()) == vector.size


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_expected_shapes_add_up_to_the_counts_of_dm_clrs(algorithm):
    counts = json.loads((GOLDEN / "parameter_counts.json").read_text())["parameters"][algorithm]
    spec = recorded_spec(algorithm)
    ours = {kind: sum(map(int, map(np.prod, hp.expected_shapes(spec, kind, 128).values()))) for kind in counts}
    assert ours == counts


def test_weights_are_transposed_and_norm_is_renamed():
    names = ["net/mpnn_aggr_clrs_processor/layer_norm:scale", "net/mpnn_aggr_clrs_processor/linear_13:w"]
    assert hp.neutral_name(names[0], "mpnn") == "processor/norm/weight"
    assert hp.neutral_name(names[1], "triplet_gmpnn") == "processor/o3/weight"
    path = GOLDEN / "model_bellman_ford_triplet_gmpnn.npz"
    with np.load(path, allow_pickle=False) as file:
        shapes = file["param/shapes"].tolist()
        at = file["param/names"].tolist().index(names[1])
        start = sum(max(1, rows) * columns for rows, columns in shapes[:at])
        first_row = file["param"][start : start + 16]
    assert shapes[at] == [8, 16]
    weight = hp.load_parameters(path, recorded_spec("bellman_ford"), "triplet_gmpnn")["processor/o3/weight"]
    np.testing.assert_array_equal(weight[:, 0], first_row)


@pytest.mark.parametrize("kind, roles", [("gmpnn", {"linear_6": "gate1"}), ("triplet_gpgn", {"linear_14": "gate1"})])
def test_the_gate_comes_after_the_triplets(kind, roles):
    assert roles.items() <= hp.processor_roles(kind).items()


def test_wrong_kind_or_spec_is_refused():
    path = GOLDEN / "model_bellman_ford_triplet_gmpnn.npz"
    spec = recorded_spec("bellman_ford")
    with pytest.raises(ValueError, match="pass the kind of the file"):
        hp.load_parameters(path, spec, "gat")
    with pytest.raises(ValueError, match="does not fit"):
        hp.load_parameters(path, Spec({k: v for k, v in spec.items() if k != "d"}), "triplet_gmpnn")
