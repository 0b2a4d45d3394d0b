"""A processor that is right, and one broken in every way that is checked: for tests/test_check.py.

Long because it is a list: a class of a few lines for every way, those that fail the same check together.
"""

import torch
from torch import nn

from nar.analysis.contract import check
from nar.nn.processor import Processor, Readout


class Right(Processor):
    """Mean of messages from the neighbours, and a memory of its own beside the hidden state."""

    uses_adjacency = True

    def __init__(self, features):
        super().__init__(features)
        self.send = nn.Linear(2 * features, features)
        self.edge = nn.Linear(features, features)
        self.graph = nn.Linear(features, features)
        self.keep = nn.Linear(4 * features, features)

    def initial_state(self, graphs, nodes, like):
        return like.new_zeros(graphs, nodes, self.features), like.new_zeros(graphs, nodes, self.features)

    def forward(self, step, state):
        hidden, total = state
        z = torch.cat([step.nodes, hidden], dim=-1)
        parts = step.hood.senders(self.send(z)) + step.hood.edges(self.edge) + step.hood.graph(self.graph(step.graph))
        pooled = step.hood.reduce(torch.relu(parts), "mean")
        return torch.tanh(self.keep(torch.cat([z, pooled, total], dim=-1))), (total + pooled) / 2


# Every way of being wrong: the check that must fail, words of its reason, and the class.
WRONG = {}


def wrong(name, words, *others):
    """`others`: checks that may fail for the same reason."""

    def add(kind):
        WRONG[kind.__name__] = (name, words, others, kind)
        return kind

    return add


@wrong("parameters", "nn.ModuleList", "device", "cost")
class ListOfLayers(Right):
    def __init__(self, features):
        super().__init__(features)
        self.more = [nn.Linear(features, features)]


@wrong("parameters", "register_buffer", "device", "cost", "dtype")
class PlainTensor(Right):
    def __init__(self, features):
        super().__init__(features)
        self.scale = torch.ones(features)


@wrong("parameters", "would not be the same when loaded")
class NotSaved(Right):
    def __init__(self, features):
        super().__init__(features)
        self.register_buffer("projection", torch.randn(features), persistent=False)

    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden * self.projection, total


@wrong("shapes", "a list; a tensor or a plain tuple")
class ListState(Right):
    def forward(self, step, state):
        return list(super().forward(step, state))


@wrong("shapes", "first axis must be the 4 graphs")
class NodesFirst(Right):
    def initial_state(self, graphs, nodes, like):
        return like.new_zeros(graphs, nodes, self.features), like.new_zeros(nodes, graphs, self.features)

    def forward(self, step, state):
        hidden, total = super().forward(step, (state[0], state[1].transpose(0, 1)))
        return hidden, total.transpose(0, 1)


@wrong("shapes", "self.node_readout = 32 promises")
class NarrowReadout(Right):
    def readout(self, step, before, after):
        return Readout(after[0])


@wrong("shapes", "edge_readout = 5 promises")
class NoEdges(Right):
    def __init__(self, features):
        super().__init__(features)
        self.edge_readout = 5


@wrong("shapes", "RuntimeError")
class Mistaken(Right):
    def forward(self, step, state):
        return super().forward(step, (state[0][..., :3], state[1]))


@wrong("dtype", "a result is torch.float64 where inputs and parameters are torch.float32")
class AlwaysDouble(Right):
    def readout(self, step, before, after):
        return Readout(super().readout(step, before, after).nodes.double())


@wrong("device", "made on the CPU", "cost")
class MadeOnTheCPU(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden * torch.linspace(1, 2, self.features, dtype=hidden.dtype), total


@wrong("device", "numpy", "cost", "gradients", "pieces", "finite")
class Numpy(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + 0 * torch.from_numpy(hidden.detach().numpy()), total


@wrong("permutation", "permutation_equivariant = True is assumed", "adjacency", "padding")
class Ordered(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden.cumsum(1), total


@wrong("permutation", "permutation_equivariant = False is declared: leave it away")
class NotOrdered(Right):
    permutation_equivariant = False


@wrong("batch", "in evaluation, a graph's result changes by", "finished")
class MeanOverGraphs(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden - hidden.mean(0), total


@wrong("batch", "in training, a graph's result changes by", "gradients")
class BatchNorm(Right):
    def __init__(self, features):
        super().__init__(features)
        self.norm = nn.BatchNorm1d(features)

    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return self.norm(hidden.transpose(1, 2)).transpose(1, 2), total


@wrong("finished", "the others change by", "determinism", "batch", "pieces", "padding", "permutation")
class RemembersItself(Right):
    last = None

    def forward(self, step, state):
        first, self.last = self.last is None or self.last != state[0].shape[0], state[0].shape[0]
        hidden, total = super().forward(step, state)
        return (hidden if first else hidden + 1), total


@wrong("history", "declare uses_history = False")
class Forgets(Right):
    def forward(self, step, state):
        return super().forward(step, tuple(torch.zeros_like(part) for part in state))

    def readout(self, step, before, after):
        return Readout(torch.cat([after[0], after[0]], dim=-1))


@wrong("history", "the readout shows the past")
class ShowsThePast(Forgets):
    uses_history = False

    def readout(self, step, before, after):
        return Right.readout(self, step, before, after)


@wrong("history", "the next state changes by")
class Remembers(Right):
    uses_history = False


@wrong("edges", "declare uses_edges = False", "gradients", "adjacency")
class LeavesEdgesOut(Right):
    def forward(self, step, state):
        hidden, total = state
        z = torch.cat([step.nodes, hidden], dim=-1)
        parts = step.hood.senders(self.send(z)) + step.hood.graph(self.graph(step.graph))
        pooled = step.hood.reduce(torch.relu(parts), "mean")
        return torch.tanh(self.keep(torch.cat([z, pooled, total], dim=-1))), (total + pooled) / 2


@wrong("edges", "uses_edges = False is declared, but")
class SaysNoEdges(Right):
    uses_edges = False


@wrong("adjacency", "the result is the same on the complete graph", "padding")
class EveryPair(Right):
    def forward(self, step, state):
        step.hood = step.hood.complete()
        return super().forward(step, state)


@wrong("adjacency", "use hood.complete()")
class NotComplete(Right):
    uses_adjacency = False


@wrong("adjacency", "features of pairs that are no edges", "padding")
class EdgesOfAll(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + step.hood.complete().reduce(step.hood.edges(self.edge), "mean"), total


@wrong("adjacency", "one that is not its neighbour", "padding")
class GraphMean(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + step.nodes.mean(1, keepdim=True), total


@wrong("padding", "two more nodes without links")
class CountsNodes(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden / hidden.shape[1], total


@wrong("gradients", "no gradient reaches idle.weight, idle.bias")
class IdleLayer(Right):
    def __init__(self, features):
        super().__init__(features)
        self.idle = nn.Linear(features, features)


@wrong("gradients", "no gradient reaches")
class Detached(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden.detach() + 0 * self.keep.bias, total


@wrong("finite", "a single node, a result is not a finite number", "shapes", "adjacency", "padding")
class DeviationOfOne(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden - hidden.var(1, keepdim=True), total


@wrong("finite", "a gradient is not a finite number", "adjacency", "padding")
class RootOfZero(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + (state[0] - state[0].mean(1, keepdim=True)).pow(2).sum(1, keepdim=True).sqrt(), total


@wrong("finite", "inputs around 100, a result is not a finite number")
class Grows(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + step.nodes.exp() * 1e-3, total


@wrong(
    "determinism",
    "another result the second time",
    *(name for name in check.CHECKS if name not in ("shapes", "dtype", "device", "cost")),
)
class Noisy(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + 1e-3 * torch.randn_like(hidden), total


@wrong("determinism", "writes into its inputs", "adjacency", "pieces", "finished")
class InPlace(Right):
    def forward(self, step, state):
        if not torch.is_grad_enabled():
            state[1].mul_(0.5)
        return super().forward(step, state)


@wrong("pieces", "one receiver at a time", "adjacency", "padding")
class LooksAtReceivers(Right):
    def forward(self, step, state):
        z = torch.cat([step.nodes, state[0]], dim=-1)

        def message(parts):
            return torch.relu(parts) - torch.relu(parts).mean(2, keepdim=True)

        graph = self.graph(step.graph)
        pooled = step.hood.pool(self.send(z), torch.zeros_like(state[0]), self.edge, graph, message, "mean")
        return torch.tanh(self.keep(torch.cat([z, pooled, state[1]], dim=-1))), state[1] + pooled


@wrong("cost", 'N^2.00 from 512 to 2048 nodes, declared N: declare cost = "N^2"')
class SaysLinear(Right):
    cost = "N"


@wrong("cost", 'declare cost = "N"', "adjacency", "padding", "edges")
class SaysQuadratic(Right):
    uses_adjacency = False

    def forward(self, step, state):
        step.hood = step.hood.alone()
        return super().forward(step, state)
