"""What a processor's result depends on, and what not: names of nodes, other graphs, the past, edges, padding.

Each function here is one check of the contract (check.py). Shapes: B graphs, N nodes.
"""

import dataclasses

import numpy as np
import torch
from torch import Tensor

from nar import datasets
from nar.analysis.contract.fixture import B, Fixture, Inputs, N, inputs, max_difference, require_equal, run_steps
from nar.analysis.contract.outcome import EXACT, Failed, Skipped, declares
from nar.model.batch import collate, training_spec
from nar.model.reasoner import Reasoner
from nar.nn.processor import rows

NO_EDGES = "features of edges (weights, pointers, masks of pairs) are never seen"
NOTICED = 1e-6  # a dependence is one from here on


@torch.no_grad()
def permutation(fixture: Fixture) -> str:
    """Renaming the nodes renames the result, or does not, as declared."""
    processor, per_step = fixture.build(), [inputs(1), inputs(2)]
    order = torch.tensor([2, 4, 0, 3, 5, 1])  # node order[i] is renamed to i

    def pairs(t: Tensor) -> Tensor:
        return t[:, order][:, :, order]

    first = run_steps(processor, per_step).visible()
    other = [Inputs(x.nodes[:, order], pairs(x.channels), x.graph, pairs(x.adjacency)) for x in per_step]
    renamed = run_steps(processor, other).visible()
    expected = [t[:, order] if i < 2 else pairs(t) for i, t in enumerate(first)]
    difference = max_difference(renamed, expected)
    holds = difference < EXACT
    if holds != processor.permutation_equivariant:
        said = "declared" if declares(processor, "permutation_equivariant") else "assumed, as nothing is declared"
        if holds:
            raise Failed(
                "renaming the nodes renames the result, but permutation_equivariant = False is declared: leave it away"
            )
        raise Failed(
            f"renaming the nodes changes the result by {difference:.2g}, but permutation_equivariant = True is {said}; "
            "if that is meant, declare permutation_equivariant = False"
        )
    return "renaming the nodes renames the result" if holds else "depends on the order of the nodes, as declared"


@torch.no_grad()
def batch(fixture: Fixture) -> str:
    """Graphs of a batch do not see each other, neither in evaluation nor in training."""
    processor, per_step = fixture.build(), [inputs(1), inputs(2)]
    modes = [("evaluation", False)]
    processor.train()
    twice = [run_steps(processor, per_step).all_tensors() for _ in range(2)]
    if max_difference(*twice) == 0:  # no dropout
        modes.append(("training", True))
    for mode, train in modes:
        processor = fixture.build().train(train)
        together = run_steps(processor, per_step)
        for b in range(B):
            one_graph = slice(b, b + 1)
            alone = run_steps(processor, [x.select(one_graph) for x in per_step])
            expected = [t[one_graph] for t in together.all_tensors()]
            changes = f"in {mode}, a graph's result changes by {{}} with what else is in the batch"
            require_equal(alone.all_tensors(), expected, changes)
    return "a graph alone gives what it gives in a batch"


@torch.no_grad()
def finished(fixture: Fixture) -> str:
    """Graphs that have ended are cut off the end of the state between steps; the others must not notice."""
    processor, per_step = fixture.build(), [inputs(1), inputs(2)]
    full = run_steps(processor, per_step)
    kept = slice(0, 2)
    begun = run_steps(processor, per_step[:1]).state
    after = run_steps(processor, [per_step[1].select(kept)], rows(begun, kept))
    expected = [t[kept] for t in full.all_tensors()]
    require_equal(after.all_tensors(), expected, "when finished graphs leave the batch, the others change by {}")
    algorithm, rng = datasets.get("bellman_ford"), np.random.RandomState(4)
    traces = [algorithm.run(**algorithm.sample(rng, 8, p=(0.25,))) for _ in range(8)]
    torch.manual_seed(1)
    reasoner = Reasoner({algorithm.name: training_spec(algorithm)}, fixture.build()).double().eval()
    together = collate(traces, algorithm)
    found = list(reasoner(together).outputs.values())
    for b, trace in enumerate(together.order):
        alone = list(reasoner(collate([traces[trace]], algorithm)).outputs.values())
        require_equal(alone, [t[b : b + 1] for t in found], "rolled out in a batch, a graph's output changes by {}")
    lengths = len(set(together.lengths))
    return f"leave between steps unnoticed; a batch of {lengths} lengths rolls out like each graph alone"


@torch.no_grad()
def history(fixture: Fixture) -> str:
    """The next state, and what decoders see of it, depend on the last one, or do not, as declared."""
    processor, now = fixture.build(), inputs(3)
    found = [run_steps(processor, [inputs(seed), inputs(seed + 10), now]) for seed in (1, 2)]
    difference = max_difference(found[0].all_tensors(), found[1].all_tensors())
    if (difference > NOTICED) == processor.uses_history:
        return "the next state depends on the last one" if processor.uses_history else "the past is hidden, as declared"
    if processor.uses_history:
        raise Failed(
            "the result does not depend on the last state; if that is meant, declare uses_history = False "
            "(a gate or residual that is shut would look the same)"
        )
    if max_difference([found[0].hidden], [found[1].hidden]) <= NOTICED:
        raise Failed(
            "uses_history = False is declared, but the readout shows the past to the decoders: override readout "
            "to leave `before` out"
        )
    raise Failed(f"uses_history = False is declared, but the next state changes by {difference:.2g} with the last one")


@torch.no_grad()
def edges(fixture: Fixture) -> str:
    """The result depends on the features of edges, or does not, as declared."""
    processor = fixture.build()
    off = ~torch.eye(N, dtype=torch.bool).unsqueeze(-1)  # of pairs of different nodes
    per_step = [inputs(1), inputs(2)]
    others = [dataclasses.replace(x, channels=torch.where(off, x.channels + 1.0, x.channels)) for x in per_step]
    found, changed = (run_steps(processor, given).visible() for given in (per_step, others))
    if (max_difference(found, changed) > NOTICED) == processor.uses_edges:
        return "features of edges change the result" if processor.uses_edges else NO_EDGES + ", as declared"
    if processor.uses_edges:
        raise Failed(
            f"{NO_EDGES}: use hood.edges, or hood.pool with a linear map of them; if that is meant, declare "
            "uses_edges = False"
        )
    raise Failed("uses_edges = False is declared, but features of edges change the result: leave it away")


@torch.no_grad()
def adjacency(fixture: Fixture) -> str:
    """Messages follow the graph's edges and nothing else does, or everyone listens to everyone, as declared."""
    processor, per_step = fixture.build(), [inputs(1), inputs(2)]
    masked = run_steps(processor, per_step, follow=True)
    free = run_steps(processor, per_step, follow=False)
    reacts = max_difference(masked.visible(), free.visible()) > NOTICED
    if not processor.uses_adjacency:
        if reacts and declares(processor, "uses_adjacency"):
            raise Failed(
                "uses_adjacency = False is declared, but a masked hood changes the result: use hood.complete()"
            )
        return "messages between all pairs" + (
            "; they would follow the graph's edges with uses_adjacency = True" if reacts else ""
        )
    if not reacts:
        raise Failed("uses_adjacency = True is declared, but the result is the same on the complete graph")
    begun, now = run_steps(processor, per_step[:1]).state, per_step[1]
    plain = run_steps(processor, [now], begun).hidden
    off = ~now.adjacency
    changed = dataclasses.replace(now, channels=torch.where(off.unsqueeze(-1), now.channels + 1.0, now.channels))
    found = run_steps(processor, [changed], begun).hidden
    require_equal([found], [plain], "features of pairs that are no edges change the hidden state by {}")
    graph, sender, receiver = off.nonzero()[0].tolist()
    moved = dataclasses.replace(now, nodes=now.nodes.clone())
    moved.nodes[graph, sender] += 1.0
    after = run_steps(processor, [moved], begun).hidden[graph]
    changes = "a node changes by {} with one that is not its neighbour, within a step"
    require_equal([after[receiver]], [plain[graph, receiver]], changes)
    return "messages follow the graph's edges, as declared"


@torch.no_grad()
def padding(fixture: Fixture) -> str:
    """Nodes without links are as good as absent."""
    processor, per_step = fixture.build(), [inputs(1), inputs(2)]
    if not processor.uses_adjacency:
        raise Skipped("everyone listens to everyone: graphs of a batch have one size, and no node is padding")
    extra = 2
    padded = []
    for i, x in enumerate(per_step):
        larger = inputs(seed=20 + i, nodes=N + extra)
        larger.adjacency[:] = torch.eye(N + extra, dtype=torch.bool)
        larger.nodes[:, :N], larger.channels[:, :N, :N], larger.adjacency[:, :N, :N] = x.nodes, x.channels, x.adjacency
        padded.append(dataclasses.replace(larger, graph=x.graph))
    found, expected = run_steps(processor, padded).hidden[:, :N], run_steps(processor, per_step).hidden
    require_equal([found], [expected], "two more nodes without links change the hidden state of the others by {}")
    return "nodes without links change nothing for the others"
