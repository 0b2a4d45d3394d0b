"""What a processor's result depends on, and what not: names of nodes, other graphs, the past, edges, padding.

Each function here is one check of the contract (check.py). Shapes: B graphs, N nodes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from nar import datasets
from nar.analysis.contract.fixture import B, N, Trial, gap, inputs, pairs, steps
from nar.analysis.contract.outcome import EXACT, Broken, Skipped, is_declared
from nar.model.batch import collate, training_spec
from nar.model.reasoner import Reasoner
from nar.nn.processor import rows

NOTICED = 1e-6  # a dependence is one from here on


@torch.no_grad()
def permutation(trial: Trial) -> str:
    """Renaming the nodes renames the result, or does not, as declared."""
    processor, order = trial.processor(), torch.tensor([2, 4, 0, 3, 5, 1])
    each = [inputs(1), inputs(2)]
    first = steps(processor, each).seen()
    renamed = steps(processor, [x.renamed(order) for x in each]).seen()
    expected = [t[:, order] if i < 2 else pairs(t, order) for i, t in enumerate(first)]
    difference = gap(renamed, expected)
    holds = difference < EXACT
    if holds != processor.permutation_equivariant:
        said = "declared" if is_declared(processor, "permutation_equivariant") else "assumed, as nothing is declared"
        if holds:
            raise Broken(
                "renaming the nodes renames the result, but permutation_equivariant = False is declared: leave it away"
            )
        raise Broken(
            f"renaming the nodes changes the result by {difference:.2g}, but permutation_equivariant = True is {said}; "
            "if that is meant, declare permutation_equivariant = False"
        )
    return "renaming the nodes renames the result" if holds else "depends on the order of the nodes, as declared"


@torch.no_grad()
def batch(trial: Trial) -> str:
    """Graphs of a batch do not see each other, neither in evaluation nor in training."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    modes = [("evaluation", False)]
    processor.train()
    twice = [steps(processor, each).everything() for _ in range(2)]
    if gap(*twice) == 0:  # no dropout
        modes.append(("training", True))
    for mode, train in modes:
        processor = trial.processor().train(train)
        together = steps(processor, each)
        for b in range(B):
            one_graph = slice(b, b + 1)
            alone = steps(processor, [x.of(one_graph) for x in each])
            expected = [t[one_graph] for t in together.everything()]
            if (difference := gap(alone.everything(), expected)) > EXACT:
                raise Broken(f"in {mode}, a graph's result changes by {difference:.2g} with what else is in the batch")
    return "a graph alone gives what it gives in a batch"


@torch.no_grad()
def finished(trial: Trial) -> str:
    """Graphs that have ended are cut off the end of the state between steps; the others must not notice."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    full = steps(processor, each)
    kept = slice(0, 2)
    begun = steps(processor, each[:1]).state
    after = steps(processor, [each[1].of(kept)], rows(begun, kept))
    if (difference := gap(after.everything(), [t[kept] for t in full.everything()])) > EXACT:
        raise Broken(f"when finished graphs leave the batch, the others change by {difference:.2g}")
    algorithm, rng = datasets.get("bellman_ford"), np.random.RandomState(4)
    traces = [algorithm.run(**algorithm.sample(rng, 8, p=(0.25,))) for _ in range(8)]
    torch.manual_seed(1)
    reasoner = Reasoner({algorithm.name: training_spec(algorithm)}, trial.processor()).double().eval()
    together = collate(traces, algorithm)
    found = list(reasoner(together).outputs.values())
    for b, trace in enumerate(together.order):
        alone = list(reasoner(collate([traces[trace]], algorithm)).outputs.values())
        if (difference := gap(alone, [t[b : b + 1] for t in found])) > EXACT:
            raise Broken(f"rolled out in a batch, a graph's output changes by {difference:.2g}")
    lengths = len(set(together.lengths))
    return f"leave between steps unnoticed; a batch of {lengths} lengths rolls out like each graph alone"


@torch.no_grad()
def history(trial: Trial) -> str:
    """The next state, and what decoders see of it, depend on the last one, or do not, as declared."""
    processor, now = trial.processor(), inputs(3)
    found = [steps(processor, [inputs(seed), inputs(seed + 10), now]) for seed in (1, 2)]
    difference = gap(found[0].everything(), found[1].everything())
    if (difference > NOTICED) == processor.uses_history:
        return "the next state depends on the last one" if processor.uses_history else "the past is hidden, as declared"
    if processor.uses_history:
        raise Broken(
            "the result does not depend on the last state; if that is meant, declare uses_history = False "
            "(a gate or residual that is shut would look the same)"
        )
    if gap([found[0].hidden], [found[1].hidden]) <= NOTICED:
        raise Broken(
            "uses_history = False is declared, but the readout shows the past to the decoders: override readout "
            "to leave `before` out"
        )
    raise Broken(f"uses_history = False is declared, but the next state changes by {difference:.2g} with the last one")


@torch.no_grad()
def adjacency(trial: Trial) -> str:
    """Messages follow the graph's edges and nothing else does, or everyone listens to everyone, as declared."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    masked = steps(processor, each, follow=True)
    free = steps(processor, each, follow=False)
    reacts = gap(masked.seen(), free.seen()) > NOTICED
    if not processor.uses_adjacency:
        if reacts and is_declared(processor, "uses_adjacency"):
            raise Broken(
                "uses_adjacency = False is declared, but a masked hood changes the result: use hood.complete()"
            )
        return "messages between all pairs" + (
            "; they would follow the graph's edges with uses_adjacency = True" if reacts else ""
        )
    if not reacts:
        raise Broken("uses_adjacency = True is declared, but the result is the same on the complete graph")
    begun, now = steps(processor, each[:1]).state, each[1]
    plain = steps(processor, [now], begun).hidden
    off = ~now.adjacency
    changed = dataclasses.replace(now, channels=torch.where(off.unsqueeze(-1), now.channels + 1.0, now.channels))
    if (difference := gap([steps(processor, [changed], begun).hidden], [plain])) > EXACT:
        raise Broken(f"features of pairs that are no edges change the hidden state by {difference:.2g}")
    graph, sender, receiver = off.nonzero()[0].tolist()
    moved = dataclasses.replace(now, nodes=now.nodes.clone())
    moved.nodes[graph, sender] += 1.0
    after = steps(processor, [moved], begun).hidden[graph]
    if (difference := gap([after[receiver]], [plain[graph, receiver]])) > EXACT:
        raise Broken(f"a node changes by {difference:.2g} with one that is not its neighbour, within a step")
    return "messages follow the graph's edges, as declared"


@torch.no_grad()
def padding(trial: Trial) -> str:
    """Nodes without links are as good as absent."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    if not processor.uses_adjacency:
        raise Skipped("everyone listens to everyone: graphs of a batch have one size, and no node is padding")
    extra = 2
    padded = []
    for i, x in enumerate(each):
        larger = inputs(seed=20 + i, nodes=N + extra)
        larger.adjacency[:] = torch.eye(N + extra, dtype=torch.bool)
        larger.nodes[:, :N], larger.channels[:, :N, :N], larger.adjacency[:, :N, :N] = x.nodes, x.channels, x.adjacency
        padded.append(dataclasses.replace(larger, graph=x.graph))
    difference = gap([steps(processor, padded).hidden[:, :N]], [steps(processor, each).hidden])
    if difference > EXACT:
        raise Broken(f"two more nodes without links change the hidden state of the others by {difference:.2g}")
    return "nodes without links change nothing for the others"
