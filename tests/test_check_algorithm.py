"""`nar check` finds what is wrong with an algorithm: the documented example, and the same broken in every way."""

import importlib
import pathlib
import re

import pytest

import nar.datasets
from nar.analysis.algorithm_contract.check import CHECKS
from nar.analysis.algorithm_contract.examples import Examples
from nar.analysis.contract import check
from nar.cli import main as cli

PAGE = (pathlib.Path(__file__).parents[1] / "docs" / "algorithms.md").read_text()
RIGHT = re.search(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)[1].replace(
    "@compiled\n", ""
)  # compiling takes long

# what is put in the place of what; the check that must fail, words of its reason, and others that fail with it
WRONG = {
    "swapped": ("order), i, order[i])", "order), order[i], i)", "order", "record gets i where the spec has least"),
    "all hints the same": ("order), i, order[i])", "order), 0 * i, i)", "order", "record gets i where"),
    "number for a mark": ("0, 0)\n", "A.max(), 0)\n", "forms", "hint i at moment 0 must hold whole numbers", "*"),
    "node of none on large inputs": ("i, order[i])", "i, order[i] + 64 * (n > 40))", "forms", "(size 64, seed 0)"),
    "shape": ("0, 0)\n", "order, 0)\n", "sampler", "sequence"),
    "beyond the end": ("i, order[i])", "i, order[i + 2])", "sampler", "IndexError"),
    "no list": ("return arrays.predecessors(order)", "return order", "forms", "output pred must link all", "*"),
    "another answer": (
        "return arrays.predecessors(order)",
        "return arrays.predecessors(order[::-1].copy())",
        "validity",
        "the algorithm's own answer",
        "oracle",
        "refusals",
    ),
    "another oracle": (
        "oracle=arrays.sorted_list",
        'oracle=lambda A: {"pred": np.zeros(len(A), int)}',
        "oracle",
        "the oracle says [0, 0",
    ),
    "oracle against a lax validity": (
        "oracle=arrays.sorted_list,\n    validity=arrays.is_sorted_list",
        'oracle=lambda A: {"pred": np.zeros(len(A), int)},\n    validity=lambda A, pred: True',
        "oracle",
        "its answer is another one",
        "validity",
    ),
    "validity": ("validity=arrays.is_sorted_list", "validity=lambda A, pred: True", "validity", "tells too little"),
    "writes into its input": (
        "    n = len(A)\n",
        "    n = len(A)\n    A[0] += 1\n",
        "inputs",
        "writes into its argument A",
        "*",
    ),
    "shares memory": ("A = arrays.check_array(A)", "arrays.check_array(A)", "inputs", "the caller's A itself", "*"),
    "remembers": (
        "    n = len(A)\n",
        "    n = len(A)\n    MEMORY.append(0)\n    A = A * (-1) ** len(MEMORY)\n",
        "determinism",
        "another pred",
        "*",
    ),
    "bound": ("bound=lambda n: n", "bound=lambda n: n - 1", "bound", "1 steps are recorded; bound(1) = 0"),
    "does not end": ("for i in range(n - 1):", "i = 0\n    while True:", "sampler", "which may not end"),
    "own randomness": ('{"A": arrays.uniform(rng,', '{"A": arrays.uniform(np.random,', "sampler", "draws other inputs"),
    "sizes": ("arrays.uniform(rng, n,", "arrays.uniform(rng, n - 1,", "sampler", "A must be"),
    "recover": ("recover=arrays.recover", "recover=None", "recover", "no input called 'A', an argument of run"),
    "refusals": ("A = arrays.check_array(A)", "A = np.array(A, dtype=float)", "refusals", "is not finite"),
}  # fmt: skip


def examples(text, name, tmp_path, monkeypatch):
    module = f"own_{re.sub('[^a-z]', '_', name)}"
    (tmp_path / f"{module}.py").write_text("MEMORY = []\n" + text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return Examples(nar.datasets.get(f"{module}:algorithm"))


def test_one_that_is_right(tmp_path, monkeypatch):
    found = list(check.run(examples(RIGHT, "right", tmp_path, monkeypatch), CHECKS))
    assert [outcome.check for outcome in found] == list(CHECKS) and all(outcome.holds for outcome in found)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found_and_nothing_else(name, tmp_path, monkeypatch):
    old, new, wrong, words, *others = WRONG[name]
    assert RIGHT.count(old) >= 1
    found = list(check.run(examples(RIGHT.replace(old, new), name, tmp_path, monkeypatch), CHECKS))
    failed = {outcome.check: outcome.text for outcome in found if not outcome.holds}
    assert words in failed[wrong], failed
    assert failed.keys() <= {wrong, *(CHECKS if "*" in others else others)}, failed


def test_a_run_beyond_the_bound_is_stopped_with_a_sentence(tmp_path, monkeypatch):
    short = examples(RIGHT.replace("lambda n: n", "lambda n: 2"), "short", tmp_path, monkeypatch).algorithm
    assert short.run(A=[2, 1]).length == 2
    with pytest.raises(ValueError, match=r"takes more steps than its bound\(3\) = 2 allows: let bound"):
        short.run(A=[2, 1, 3])


def test_helpers_that_are_handed_the_trace_are_looked_into():
    """Heapsort records in a compiled helper: its calls are read, and run in plain Python."""
    found = Examples(nar.datasets.get("heapsort"))
    assert all(len(example.run.hints["i"]) == example.trace.length for example in found.all)
    assert check.run_one(found, "order", CHECKS).holds


def test_the_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_sort.py").write_text(RIGHT)
    (tmp_path / "own_swapped.py").write_text(RIGHT.replace("order), i, order[i])", "order), order[i], i)"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    assert cli.main(["check", "own_sort:algorithm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("own_sort:algorithm: CLRS exercise 2.2-2")
    assert [line.split()[1] for line in lines[1:-1]] == list(CHECKS) and lines[-1] == "11 hold, 0 fail, 0 skipped"
    assert cli.main(["check", "own_swapped:algorithm"]) == 1
    assert "  FAIL  order " in capsys.readouterr().out
    assert cli.main(["check", "minimum"]) == 0
    with pytest.raises(SystemExit) as stop:
        cli.main(["check", "minimum", "--option", "heads=2"])
    assert stop.value.code == 2 and "--option is for processors, and minimum is an algorithm" in capsys.readouterr().err
