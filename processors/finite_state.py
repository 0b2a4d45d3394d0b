"""A finite automaton at every node, learnt by gradients (Diff-FSA of GraphFSA: Groetschla, Mathys, Raun, Wattenhofer,
ECAI 2024, arXiv 2408.11042), inside the rollout of CLRS.

Every node is in one of M states and sees how many of its neighbours are in each of them, counts clipped at b: one of
(b + 1)^M symbols. One table, the same for all nodes, says what state follows. With x the encoded nodes, g the encoded
graph, one() the unit vector of the largest entry:

    read    s_i  = one(R x_i + Rg g)                                           the state that a node is in
    look    c_i  = min(b, sum over neighbours j, itself excepted, of s_j)      [M], the digits of the symbol a_i
    move    s'_i = softmax(gain T[a_i, s_i]),  one() of it outside training    T: [(b + 1)^M, M, M]
    write   H'_i = W s'_i;   decoders see H'

In the paper states are given and only T is learnt; here they have no names: the network finds its own between encoders
(R) and decoders (W). Where it decides, gradients are straight-through, those of what a decision stands for: the
softmax of R at a temperature, a sigmoid at every threshold of the counts. In the paper no gradient passes the counts,
and states are distributions while training; `hard=False` makes them so here, and learns worse: mixtures of states do in
training what no state can do later. The temperature falls geometrically from the first to the second of `temperature`
over the training; the gain, 30, makes the table learn faster than the network (the paper's learning rate is 0.25).

Not to be confused with: discrete.py, whose states are unit vectors, too, but whose rule is a network with attention, or
datasets/automaton.py, where rules to be learnt come from. It sees no edge features and carries no numbers: made for
algorithms whose step is a small local rule.

A few states more than the algorithm has are needed to find them all: parities of distances, three states, are learnt
exactly from 5 seeds of 5 with 8 states, and from 3 of 5 with 6 (120 steps of Adam at 0.02 on true hints).

Hints are all that passes from step to step. `memory=True` lets states pass as well (R reads [x | H], decoders see H and
H'), without which runs without hints can do nothing.

Cost per step: N^2 M for the counts, N (b + 1)^M M^2 for the table, in multiply-adds.

Shapes: B graphs, N nodes, F features, M states, A symbols.
"""

import torch
from torch import Tensor, nn

from nar.nn.layers import linear
from nar.nn.processor import Processor, Readout, Step
from nar.processors.discrete import annealed, check_temperature, chosen

GAIN = 30.0  # so many times faster than the network learns the table
LARGEST = 2**16  # entries of the table
SLOPE = 4.0  # of the sigmoid that stands for a threshold in the backward pass


class FiniteState(Processor):
    """Every node runs the same finite automaton on its own state and on clipped counts of its neighbours' states."""

    uses_edges = False
    uses_adjacency = True

    def __init__(
        self,
        features: int,
        *,
        states: int = 8,
        bound: int = 1,
        memory: bool = False,
        hard: bool = True,
        temperature: tuple[float, float] = (1.0, 0.1),
    ) -> None:
        """`states` of a node; `bound`: counts of neighbours are clipped here; `memory`: the state reads the last one.

        `hard`: states are decided in the forward pass of training, too; `temperature`: of that softmax at either end.
        """
        super().__init__(features)
        if states < 2 or bound < 1 or (bound + 1) ** states * states**2 > LARGEST:
            raise ValueError(
                f"need states >= 2, bound >= 1 and a table of at most {LARGEST} entries, states^2 (bound + 1)^states, "
                f"got states={states}, bound={bound}"
            )
        check_temperature(temperature)
        self.states, self.bound, self.hard, self.temperature = states, bound, hard, temperature
        self.uses_history = memory
        self.node_readout = 2 * features if memory else features
        self.read = linear((1 + memory) * features, states)  # R
        self.graph = linear(features, states)  # Rg
        self.table = nn.Parameter(0.1 / GAIN * torch.randn((bound + 1) ** states, states, states))  # T
        self.write = linear(states, features)  # W

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hard, temperature = self.hard or not self.training, annealed(self.temperature, step.progress)
        seen = torch.cat([step.nodes, state], dim=-1) if self.uses_history else step.nodes
        logits_BNM = self.read(seen) + self.graph(step.graph).unsqueeze(1)
        state_BNM = chosen(logits_BNM, hard, temperature)
        others_BNM = step.hood.reduce(step.hood.senders(state_BNM), "sum") - state_BNM
        symbol_BNA = self.symbols(others_BNM, hard)
        # the row (symbol, state) of the table; both are unit vectors, or distributions
        row_BNR = (symbol_BNA.unsqueeze(-1) * state_BNM.unsqueeze(-2)).flatten(-2)
        next_BNM = row_BNR @ torch.softmax(GAIN * self.table, dim=-1).flatten(0, 1)
        if not self.training:
            next_BNM = chosen(next_BNM, True, 1.0)
        return self.write(next_BNM)

    def symbols(self, counts_BNM: Tensor, hard: bool) -> Tensor:
        """The symbols of counts as unit vectors: first digit for the count of state 0, clipped at `bound`."""
        levels = torch.arange(1, self.bound + 1, dtype=counts_BNM.dtype, device=counts_BNM.device)
        if hard:
            smooth = torch.sigmoid(SLOPE * (counts_BNM.unsqueeze(-1) - levels + 0.5))
            reached = (smooth > 0.5).to(smooth.dtype) + (smooth - smooth.detach())
        else:
            reached = (counts_BNM.unsqueeze(-1) - levels + 1).clamp(0, 1)
        one = torch.ones_like(reached[..., :1])
        digits_BNMK = torch.cat([one, reached], -1) - torch.cat([reached, torch.zeros_like(one)], -1)
        symbol = digits_BNMK[..., 0, :]
        for m in range(1, self.states):
            symbol = (symbol.unsqueeze(-1) * digits_BNMK[..., m, :].unsqueeze(-2)).flatten(-2)
        return symbol

    def readout(self, step: Step, before: Tensor, after: Tensor) -> Readout:
        return Readout(torch.cat([before, after], dim=-1) if self.uses_history else after)
