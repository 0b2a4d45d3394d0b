"""Training gives the losses that are on record, on every optional path of the engine (loss_cases.py).

Computed in float64 they must agree to 1e-9 on any machine; in float32, where Adam enlarges rounding to whole percents
within 20 steps, the first one to 1e-5. With NAR_SAME_LOSSES=exact all must agree bit for bit, which holds on the kind
of CPU, and with the version of PyTorch, that they were recorded with: for changes that must not change a number.
"""

import json
import os
from pathlib import Path

import pytest
from loss_cases import CASES, train

GOLDEN = json.loads((Path(__file__).parent / "golden" / "losses.json").read_text())["cases"]
EXACT = os.environ.get("NAR_SAME_LOSSES", "")


def numbers(case):
    return {part: [float.fromhex(value) for value in values] for part, values in case.items()}


def test_the_comparison_is_one_that_there_is():
    assert EXACT in ("", "exact"), f"NAR_SAME_LOSSES={EXACT}: leave it away, or ask for 'exact'"


def test_every_case_is_on_record_and_says_something():
    assert GOLDEN.keys() == CASES.keys()
    for name, case in CASES.items():
        found = numbers(GOLDEN[name])
        expected = case.steps * len(case.config.algo) * max(1, case.stacked)
        assert len(found["losses"]) == expected and len(set(found["losses"])) == expected, name
        assert all(0 < loss < 1e3 for loss in found["losses"]), name
        assert len(found["validation"]) == 2 * len(case.config.algo) * max(1, case.stacked), name


# what trains alike: memory that is saved, decisions that are taken in evaluation only
ALIKE = {
    "little memory": "bellman_ford triplet_gmpnn float64",
    "little memory, edges": "floyd_warshall triplet_gmpnn float64",
    "hints fed back hard in evaluation": "insertion_sort triplet_gmpnn float64",
}


def test_every_path_has_losses_of_its_own():
    """A case with the losses of another would be no witness of its path."""
    first = {name: numbers(case)["losses"][:2] for name, case in GOLDEN.items()}
    for name, other in ALIKE.items():
        assert first[name] == pytest.approx(first[other], rel=1e-12), name
    rounded = {tuple(f"{loss:.6e}" for loss in losses) for name, losses in first.items() if name not in ALIKE}
    assert len(rounded) == len(first) - len(ALIKE)


@pytest.mark.parametrize("name", CASES)
def test_the_losses_are_those_on_record(name):
    found, expected = train(CASES[name]), numbers(GOLDEN[name])
    if EXACT:
        assert found == expected
    elif CASES[name].dtype == "float32":
        assert found["losses"][0] == pytest.approx(expected["losses"][0], rel=1e-5)
    else:
        for part, values in expected.items():
            assert found[part] == pytest.approx(values, rel=1e-9, abs=0), part
