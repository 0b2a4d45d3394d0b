"""The contract of processors, over the whole table: a new processor is tested by its line there.

Their formulas are in test_formulas.py.
"""

import copy
import sys

import numpy as np
import pytest
import torch
from one_step import GATED, LITERAL, SIGMOID_3, apply, data, hidden_of, made

from nar import datasets, processors
from nar.analysis.contract import check
from nar.analysis.contract.fixture import Fixture
from nar.evaluation.evaluate import evaluate
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn.processor import Processor

EVERY = processors.names()


# The contract, the same for a user's class


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", [name for name in check.CHECKS if name != "compile"])
def test_contract(name, kind):
    outcome = check.run_one(Fixture(lambda features: processors.build(kind, features)), name)
    assert outcome.holds or (name == "padding" and not processors.build(kind, 8).uses_adjacency), outcome.text


@pytest.mark.parametrize("kind", ["triplet_gpgn_mask", "gatv2_full"])
def test_torch_compile_takes_them(kind):
    outcome = check.run_one(Fixture(lambda features: processors.build(kind, features)), "compile")
    assert outcome.holds, outcome.text


@pytest.mark.parametrize("kind", EVERY)
def test_every_processor_says_what_it_is(kind):
    found, _ = processors.find(kind)
    assert found.__doc__ and sys.modules[found.__module__].__doc__


@pytest.mark.parametrize("kind", LITERAL)
def test_declarations(kind):
    processor = made(kind)
    assert processor.cost == ("N^3" if "triplet" in kind else "N" if kind == "deepsets" else "N^2")
    assert processor.masks_decoders == kind.endswith("_mask")
    assert processor.permutation_equivariant and processor.uses_history
    assert processor.uses_adjacency == ("pgn" in kind or kind in ("gat", "gatv2"))


@pytest.mark.parametrize("kind", LITERAL)
def test_direction_of_an_edge(kind):
    """Features on the edge 0 -> 1 alone reach node 1 in the PGN family and node 0 in the GAT family, as in dm-clrs."""
    processor = made(kind, 8)
    x, e, g, _, hidden = data(8)
    e = torch.zeros_like(e)
    plain = hidden_of(apply(processor, x, e, g, None, hidden))
    e[:, 0, 1] = 3.0
    moved = (hidden_of(apply(processor, x, e, g, None, hidden)) - plain).abs().amax((0, 2)) > 1e-9
    reached = [] if kind == "deepsets" else [0] if kind.startswith("gat") else [1]
    assert moved.nonzero().flatten().tolist() == reached
    e = torch.zeros_like(e)
    e[:, 2, 2] = 3.0
    moved = (hidden_of(apply(processor, x, e, g, None, hidden)) - plain).abs().amax((0, 2)) > 1e-9
    assert moved.nonzero().flatten().tolist() == [2]


@pytest.mark.parametrize("kind", GATED)
def test_the_gate_starts_almost_closed_and_can_close(kind):
    processor = made(kind, 64)
    ungated = copy.deepcopy(processor)
    ungated.gate = None
    x, e, g, adjacency, hidden = data(64)
    after = apply(processor, x, e, g, adjacency, hidden)[0]
    update = apply(ungated, x, e, g, adjacency, hidden)[0]
    gate = (after - hidden) / (update - hidden)
    assert ((gate > 0) & (gate < 1)).all()
    assert SIGMOID_3 / 2 < gate.median() < 2 * SIGMOID_3
    with torch.no_grad():
        processor.gate[2].weight.zero_()
    gate = (apply(processor, x, e, g, adjacency, hidden)[0] - hidden) / (update - hidden)
    torch.testing.assert_close(gate, torch.full_like(gate, -3.0).sigmoid())
    with torch.no_grad():
        processor.gate[2].bias.fill_(-1e9)
    assert apply(processor, x, e, g, adjacency, hidden)[0].equal(hidden)


def test_gated_kinds_are_those_named_so():
    assert {kind for kind in LITERAL if kind.removeprefix("triplet_") in ("gmpnn", "gpgn", "gpgn_mask")} == set(GATED)


# Learning


@pytest.fixture(scope="module")
def dag_batch():
    """An algorithm with graph features, pointers, masks, a mask_one and categories."""
    return draw(datasets.get("dag_shortest_paths"), 6, 4, seed=(1, 2), random_pos=True, p=(0.5,))


@pytest.mark.by_form
@pytest.mark.parametrize("kind", LITERAL)
def test_every_parameter_of_a_model_learns(kind, dag_batch):
    largest: dict[str, float] = {}
    for seed in range(3):  # GAT's receiver map has no effect where all logits of a receiver have one sign, as by chance
        torch.manual_seed(seed)
        model = Reasoner.build("dag_shortest_paths", kind, hidden=8).double().train()
        total_loss(dag_batch, model(dag_batch)).backward()
        for name, parameter in model.named_parameters():
            size = 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
            largest[name] = max(size, largest.get(name, 0.0))
    # Softmax does not see what is added to all its logits: a bias just before one has no effect, hence no gradient.
    before_softmax = {"pointer": "3.bias", "mask_one": "0.bias"}
    idle = {
        f"decoders.dag_shortest_paths.maps.{name}.{before_softmax[probe.type]}"
        for name, probe in dag_batch.spec.items()
        if probe.stage != "input" and probe.type in before_softmax
    }
    idle |= {name for name in largest if name.startswith("processor.heads") and name.endswith("bias")}  # GATv2's
    if model.processor.masks_decoders:  # unless other logits are put in the place of some of them
        idle = {name for name in idle if not name.endswith("3.bias")}
        largest = {name: size for name, size in largest.items() if not name.endswith("3.bias")}
    assert {name for name, size in largest.items() if size < 1e-12} == idle


@pytest.mark.parametrize("algorithm", ["bellman_ford", "bfs", "dijkstra", "mst_prim", "dag_shortest_paths"])
def test_an_untrained_model_knows_nothing(algorithm):
    """A score far above 1/n without training means that the answer leaks into the input."""
    textbook = datasets.get(algorithm)
    draws = np.random.RandomState(5)
    traces = [textbook.run(**textbook.sample(draws, 32)) for _ in range(3)]
    scores = []
    for seed, kind in enumerate(("mpnn", "triplet_gmpnn", "pgn", "gat")):
        torch.manual_seed(seed)
        model = Reasoner.build(algorithm, kind, hidden=8)
        scores.append(evaluate(model, textbook, traces).score)
    assert sum(scores) / len(scores) < 0.2, scores


# The table


def test_options_are_checked_by_name():
    for name, option in (
        ("mpnn", "heads"),
        ("gat", "triplet_features"),
        ("triplet_gmpnn", "gated"),
        ("gat_full", "complete"),
    ):
        with pytest.raises(ValueError, match=f"{name}.*no option '{option}'"):
            processors.build(name, 8, **{option: 2})
    with pytest.raises(ValueError, match="triplet_features 4 has no effect without triplets"):
        processors.build("mpnn", 8, triplet_features=4)
    with pytest.raises(ValueError, match="8 cannot be split over 3 heads"):
        processors.build("gat", 8, heads=3)
    with pytest.raises(ValueError, match="did you mean 'mpnn'"):
        processors.build("mpn", 8)
    with pytest.raises(ValueError, match="unknown reduction 'median'"):
        x, e, g, adjacency, hidden = data()
        apply(made("pgn", reduction="median"), x, e, g, adjacency, hidden)


def test_processors_of_your_own(tmp_path, monkeypatch, dag_batch):
    """The example in nar/nn/processor.py, found by module and class, trained and scored like any other."""
    from nar.nn import processor as process

    example = (process.__doc__ or "").split("minimal one:\n\n")[1].split("\n\nShapes")[0]
    source = "import torch\nfrom torch import Tensor, nn\nfrom nar.nn.processor import Processor, Step\n\nNUMBER = 3\n"
    source += "\n".join(line[4:] for line in example.splitlines()) + "\n"
    (tmp_path / "own_processors.py").write_text(source)
    (tmp_path / "needs_more.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(0)
    model = Reasoner.build("dag_shortest_paths", "own_processors:Mean", hidden=8).double()
    assert isinstance(model.processor, Processor)
    total_loss(dag_batch, model(dag_batch)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.processor.parameters())
    for name, message in (
        ("own_processors:Median", "Median in own_processors is not found"),
        ("own_processors:NUMBER", "NUMBER in own_processors is a int, not a subclass of nar.Processor"),
        ("own_processors:nn", "not a subclass"),
        ("not_a_module:Mean", "no module named 'not_a_module'"),
        ("own_processors.deeper:Mean", "no module named"),
    ):
        with pytest.raises(ValueError, match=message):
            processors.build(name, 8)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):  # their mistake keeps its traceback
        processors.build("needs_more:Mean", 8)
    with pytest.raises(ValueError, match="no option 'gated'"):
        processors.build("own_processors:Mean", 8, gated=True)


def test_options_of_the_command_line_are_of_the_kind_of_their_defaults():
    from nar.processors import options_from

    assert options_from("rnar", ["masked=false", "layers=2", "cell=gru"]) == {
        "masked": False,
        "layers": 2,
        "cell": "gru",
    }
    assert options_from("mpnn", ["gated=True"]) == {"gated": True}
    for words, message in (
        (["masked=maybe"], "--option masked of rnar takes a bool, as False, got 'maybe'"),
        (["layers=x"], "--option layers of rnar takes a int, as 1, got 'x'"),
        (["layers=True"], "takes a int"),
        (["masked"], "--option takes name=value, got 'masked'"),
        (["masked=True", "masked=False"], "--option masked is given twice"),
    ):
        with pytest.raises(ValueError, match=message):
            options_from("rnar", words)
    with pytest.raises(ValueError, match="takes a tuple"):
        options_from("discrete", ["temperature=3"])
