"""Exact rules of dynamic programs over pairs and of points in a plane: what the candidates are, and that they suffice.

Coverage: of true traces, moment by moment, the next value of a hint is among the candidates that are made of the
present ones.
"""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from nar import datasets
from nar.model.batch import draw
from nar.model.coders.step_encoder import StepEncoder
from nar.model.options import planes, relation_kinds, ways
from nar.model.options.choice import Choice
from nar.model.options.edge_choices import PointerChoice
from nar.model.options.ways import Least, Way
from nar.model.reasoner import Reasoner
from nar.traces.spec import Probe, Stage, Type

B, N = 2, 6
SETTINGS = {"relations": "instead", "candidates": True, "selection": True, "hint_feedback": "hard", "output_step": True}


def reasoner(algorithm, **options):
    torch.manual_seed(0)
    return Reasoner.build(algorithm, "relational", hidden=8, **{**SETTINGS, "history": False, **options}).double()


def batch(algorithm, nodes=9, samples=3, seed=1):
    algorithm = datasets.get(algorithm)
    drawn = draw(algorithm, nodes, samples, seed=[seed], random_pos=False, **algorithm.train_params)
    return drawn.map(lambda value: value.double() if value.is_floating_point() else value)


def decoder_inputs(model, batch, moment):
    """What the decoders are given at a moment of true traces, and how many of the traces have it."""
    encoder, decoder = model.coders(batch.algorithm)
    count = sum(length > moment for length in batch.lengths)
    steps = StepEncoder(encoder, model.processor, batch, reads=decoder.reads())
    hints = {name: value[moment, :count] for name, value in batch.hints.items()}
    step, inputs = steps.step(hints, steps.memory(), count)
    state = model.processor.initial_state(count, batch.nodes, steps.reference)
    after = model.processor(step, state)
    return inputs.with_readout(model.processor.readout(step, state, after)), count


def choices(model, batch):
    """Every choice among values that the decoders offer at every moment of true traces: name, choice, truth."""
    _, decoder = model.coders(batch.algorithm)
    for moment in range(batch.steps + 1):
        inputs, _ = decoder_inputs(model, batch, moment)
        following = sum(length > moment + 1 for length in batch.lengths)
        for name, found in decoder.decode(Stage.HINT, inputs).items():
            if isinstance(found, Choice) and found.values is not None and following:
                yield name, found[:following], batch.hints[name][moment + 1, :following]
        last = torch.tensor([length == moment + 1 for length in batch.lengths])
        for name, found in decoder.decode(Stage.OUTPUT, inputs).items():
            if isinstance(found, Choice) and found.values is not None and last.any():
                which = last.nonzero().flatten()
                yield name, found[which], batch.outputs[name][which]


@pytest.mark.parametrize(
    ("algorithm", "names"),
    [
        ("matrix_chain_order", {"m", "s_h", "s"}),
        ("optimal_bst", {"e", "w", "root_h", "root"}),
        ("floyd_warshall", {"D", "Pi_h", "Pi"}),
        ("graham_scan", {"atans"}),
        ("segments_intersect", {"dir"}),
    ],
)
def test_every_next_value_is_among_the_candidates(algorithm, names):
    found = set()
    for name, choice, truth in choices(reasoner(algorithm), batch(algorithm)):
        exact = choice.values[..., :-1]
        assert ((exact - truth.double().unsqueeze(-1)).abs().amin(-1) < 1e-6).all(), name
        _, covered = choice.right(truth)
        assert covered.all(), name
        found.add(name)
    assert found == names


@pytest.mark.parametrize("algorithm", ["matrix_chain_order", "optimal_bst", "floyd_warshall"])
def test_the_right_candidate_wins_if_it_alone_is_eligible(algorithm):
    for name, choice, truth in choices(reasoner(algorithm), batch(algorithm, 5, 2)):
        right, _ = choice.right(truth)
        choice.eligible = torch.where(right, 9.0, -9.0).double()
        assert (choice.decided() - truth).abs().max() < 1e-6, name
        assert choice.losses(truth).max() < 0.01, name
        choice.eligible = -choice.eligible
        assert (choice.losses(truth) > 5).all(), name


def test_renaming_nodes_renames_candidates():
    """Of graphs whose edges have no order: floyd_warshall."""
    model, graphs = reasoner("floyd_warshall"), batch("floyd_warshall", 7)
    order = torch.tensor([3, 0, 6, 5, 1, 4, 2])
    place = order.argsort()

    def renamed(name, value, leading):
        probe = graphs.spec[name]
        for axis in range(0 if probe.type is Type.MASK_ONE else {"node": 1, "edge": 2}[probe.location]):
            value = value.index_select(leading + axis, order)
        return place[value.long()].to(value.dtype) if probe.type in (Type.POINTER, Type.MASK_ONE) else value

    decoder = model.coders("floyd_warshall")[1]
    ours, _ = decoder_inputs(model, graphs, 2)
    graphs.hints = {name: renamed(name, graphs.hints[name][:3, :], 2) for name in graphs.hints}
    graphs.inputs = {name: renamed(name, value, 1) for name, value in graphs.inputs.items()}
    theirs, _ = decoder_inputs(model, graphs, 2)
    for name in ("Pi_h", "D"):
        one, other = decoder.decode(Stage.HINT, ours)[name], decoder.decode(Stage.HINT, theirs)[name]
        moved = one.map(lambda part: part[:, order][:, :, order])
        values = moved.values if name == "D" else place[moved.values.long()].double()
        # of equal ways the first node counts (any on a shortest path will do), and so of equal scores
        keep = slice(None) if name == "D" else slice(0, -3)
        torch.testing.assert_close(values[..., keep], other.values[..., keep])
        torch.testing.assert_close(moved.eligible, other.eligible)
        torch.testing.assert_close(moved.numbers, other.numbers)
        assert (moved.index() == other.index()).all()
        if isinstance(moved, PointerChoice):
            torch.testing.assert_close(moved.scores[..., order], other.scores)


# The best way


def numbers(seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = {"w": torch.rand(B, N, N, generator=generator), "x": torch.rand(B, N, generator=generator)}
    values["e"] = (torch.rand(B, N, N, generator=generator) < 0.6).float()
    pointer = torch.tensor([[0, 0, 1, 2, 3, 4], [2, 1, 1, 0, 5, 3]])  # two start at a node that points to itself
    return values | {"P": one_hot(pointer, N).float()}, pointer.numpy()


@pytest.mark.parametrize("mask", [None, "e"])
@pytest.mark.parametrize(("pointer", "quantity"), [(None, None), ("P", None), ("P", "x")])
@pytest.mark.parametrize("chunk", [1, 2**22])
def test_the_least_way_by_its_definition(mask, pointer, quantity, chunk, monkeypatch):
    monkeypatch.setattr(ways, "CHUNK_NUMBERS", chunk)
    values, P = numbers()
    w, x, e = (values[name].numpy() for name in ("w", "x", "e"))
    found = ways.least(Way("w", mask, pointer, quantity), values)
    for b, i, j in np.ndindex(B, N, N):
        best, node = np.inf, None
        for k in range(N):
            via = k if pointer is None else P[b, k]
            if pointer is not None and via == k:
                continue
            if mask is not None and not (e[b, i, via] and e[b, k, j]):
                continue
            total = w[b, i, via] + w[b, k, j] + (x[b, P[b, i]] * x[b, via] * x[b, j] if quantity else 0)
            if total < best:
                best, node = total, via
        assert found.number[b, i, j].item() == pytest.approx(best, rel=1e-6)
        assert node is None or found.node[b, i, j] == node


def test_without_a_way_the_least_is_infinite():
    values, _ = numbers()
    values["e"] = torch.zeros_like(values["e"])
    assert (ways.least(Way("w", "e", None, None), values).number == torch.inf).all()


def test_ways_follow_from_the_kinds_of_probes():
    spec = reasoner("optimal_bst").specs["optimal_bst"]
    assert ways.quantities(spec) == ["p", "q"]  # not the positions
    assert [way for way in ways.ways(spec) if way.number == "e"] == [
        Way("e", "msk", None, None), Way("e", "msk", "pred", None), Way("e", "msk", "pred", "p"),
        Way("e", "msk", "pred", "q"),
    ]  # fmt: skip
    assert ways.ways(reasoner("floyd_warshall").specs["floyd_warshall"]) == [
        Way("A", "adj", None, None), Way("D", "msk", None, None),
    ]  # fmt: skip
    assert ways.ways({"w": Probe("input", "edge", "scalar")}) == [Way("w", None, None, None)]  # without a mask: all
    assert ways.ways(datasets.get("insertion_sort").spec) == []


def test_a_way_is_looked_for_once(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "nar.model.coders.decoder_inputs.least",
        lambda way, values: asked.append(way) or Least(torch.zeros(3, 9, 9).double(), torch.zeros(3, 9, 9).long()),
    )
    model, graphs = reasoner("optimal_bst"), batch("optimal_bst", 8)
    inputs, _ = decoder_inputs(model, graphs, 1)
    model.coders("optimal_bst")[1].decode(Stage.HINT, inputs)
    assert len(asked) == len(set(asked)) == 8


# Masks of ways


def test_masks_by_way():
    values, P = numbers()
    e, mark = values["e"], one_hot(torch.tensor([4, 1]), N).float()
    both = relation_kinds.both_by_way(e, mark)[0]
    some, shifted = relation_kinds.both_by_some(e)[0], relation_kinds.both_by_some_shifted(e, values["P"])[0]
    for b, i, j in np.ndindex(B, N, N):
        m = (4, 1)[b]
        assert both[b, i, j] == e[b, i, m] * e[b, m, j]
        assert some[b, i, j] == max(e[b, i, k] * e[b, k, j] for k in range(N))
        assert shifted[b, i, j] == max(e[b, i, P[b, k]] * e[b, k, j] for k in range(N) if P[b, k] != k)


def test_who_points_to_whom_is_said_in_both_directions():
    """The scores of a pointer from i to j read the edge from j to i, which holds what j points to."""
    pointer = one_hot(torch.tensor([[0, 0, 3, 3, 1, 5]]), N).float()
    together, back = relation_kinds.pointed(pointer)
    assert back[0].nonzero().tolist() == [[0, 0], [0, 1], [1, 4], [3, 2], [3, 3], [5, 5]]
    assert together[0].nonzero().tolist() == [
        [0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [2, 3], [3, 2], [3, 3], [4, 4], [5, 5]
    ]  # fmt: skip


def test_ways_by_a_mark_are_compared_as_finely_as_numbers_differ():
    w = torch.tensor([[[0.0, 0.5, 1.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]]])
    mark = torch.tensor([[0.0, 1.0, 0.0]])
    for direct, (less, more) in ((1.0, (0, 0)), (1.0 + 2**-23, (1, 0)), (1.0 - 2**-24, (0, 1))):
        w[0, 0, 2] = direct
        assert [channel[0, 0, 2].item() for channel in relation_kinds.by_way_against_edge(w, mark)] == [less, more]


# Planes


def test_directions_and_cross_products():
    x, y = torch.randn(2, B, N, dtype=torch.double, generator=torch.Generator().manual_seed(0)).unbind(0)
    directions = planes.direction(x, y, one_hot(torch.tensor([4, 1]), N).double())
    crosses = planes.crosses(x, y)
    for b, j in np.ndindex(B, N):
        m = (4, 1)[b]
        wanted = math.atan2(y[b, j] - y[b, m], x[b, j] - x[b, m])
        assert directions[b, j].item() == pytest.approx(wanted, abs=1e-12)
        for i, k in np.ndindex(N, N):
            wanted = (x[b, j] - x[b, i]) * (y[b, k] - y[b, i]) - (x[b, k] - x[b, i]) * (y[b, j] - y[b, i])
            assert crosses[b, j, i, k].item() == pytest.approx(wanted.item(), abs=1e-12)


# Choices among pointers


def test_a_pointer_choice_by_hand():
    """Three candidates of one pair: nodes 4, 2 and the scored one, 1; the second number is smallest of the second."""
    scores = torch.tensor([[0.0, 3.0, 0.0, 0.0, 1.0]])
    values = torch.tensor([[4.0, 2.0, 1.0]])
    eligible = torch.tensor([[5.0, 4.0, -6.0]])
    numbers = torch.tensor([[[1.0, 7.0], [2.0, 3.0], [0.0, 1.0]]])
    for rule, node in enumerate([4, 4, 2, 2, 4]):  # none, least of both numbers, largest of both numbers
        choice = PointerChoice(eligible, numbers, one_hot(torch.tensor(rule), 5).float(), values, scores=scores)
        assert choice.decided().tolist() == [node]
        assert choice.decided().dtype == torch.long
        assert choice.expected().shape == (1, 5)
        assert choice.expected().sum().item() == pytest.approx(1.0)
        assert choice.logits.argmax(-1).tolist() == [node]
        assert choice.losses(torch.tensor([node])).item() < choice.losses(torch.tensor([1])).item()


def test_what_no_candidate_explains_is_learned_by_the_scores():
    scores = torch.zeros(1, 5, requires_grad=True)
    numbers, rules = torch.zeros(1, 2, 0), torch.zeros(1)
    choice = PointerChoice(torch.zeros(1, 2), numbers, rules, torch.tensor([[4.0, 0.0]]), scores=scores)
    for node, learned in ((4, False), (3, True)):
        (gradient,) = torch.autograd.grad(choice.losses(torch.tensor([node])).sum(), scores, allow_unused=True)
        assert bool(gradient.abs().sum() > 0) == learned
    assert choice.losses(torch.tensor([3])).item() > math.log(5)


def test_choices_are_cut_and_joined():
    graphs = batch("floyd_warshall", 5, 3)
    for _, choice, truth in choices(reasoner("floyd_warshall"), graphs):
        joined = Choice.cat([choice[:1], choice[1:]])
        assert type(joined) is type(choice)
        torch.testing.assert_close(joined.losses(truth), choice.losses(truth))
        assert (joined.cpu().decided() == choice.decided()).all()


@pytest.mark.parametrize("algorithm", ["matrix_chain_order", "optimal_bst", "floyd_warshall"])
def test_gradients_reach_every_parameter(algorithm):
    from nar.model.objectives.losses import total_loss

    model, graphs = reasoner(algorithm), batch(algorithm, 6, 2)
    total_loss(graphs, model(graphs)).backward()
    choosing = model.coders(algorithm)[1].edge_choices
    without = {n for n, p in choosing.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    scored = {n for n, _ in choosing.named_parameters() if any(part in n for part in (".query.", ".key."))}
    assert without <= scored  # scores have gradients only where nothing else explains a pointer
