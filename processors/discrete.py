"""Discrete neural algorithmic reasoning (Rodionov and Prokhorenkova, ICML 2025, arXiv 2402.11628), inside the rollout
of CLRS: nothing but unit vectors passes from step to step, and every node listens to exactly one node.

With x, e, g the encoded nodes, edges and graph, H the embedded states of the nodes, t the states of the edges, as they
were left by the last step, z = [x | H], one() unit vectors, receiver i, sender j:

    select  logit[i, j] = Q z_i . (K z_j + Ke e[j -> i] + Kt t[j -> i]) / sqrt(F) + p . e[j -> i]
            a[i, .]     = one(logit[i, .])                               over neighbours j and i itself
    nodes   s_i         = one(S LayerNorm(ReLU(U1 sum over j of a[i, j] V z_j + U2 z_i + u a[i, i] + Ug g)))
    edges   t'[j -> i]  = one(T LayerNorm(ReLU(M1 e[j -> i] + M2 t[j -> i] + M3 ReLU(K z_j + Q z_i)
                                                + M4 [a[i, j] | a[j, i]])))
    embed   H'_i = W s_i;   decoders see H, H' and t'

S and T choose a state from each of several variables, so a node has `node_states` to the power of `node_variables`
states. Choices are hard in the forward pass and softmaxes at a temperature in the backward pass (straight-through);
`hard=False` makes them soft while training, as the authors do (they add Gumbel noise; nar does not). The temperature
falls geometrically from the first to the second of `temperature` over the training, theirs from 3 to 0.01.

What of DNAR is here: discrete states of nodes and edges, attention to one node, no other memory. What is not: states
that are designed by hand for each algorithm (in their place, variables that find their own meaning; one variable of 5
states, as theirs, is `node_variables=1, node_states=5`); numbers kept beside the states, which only order candidates,
and the rules that update them. Here numbers are encoded with everything else, order candidates through p and K, and
are lost at the end of a step but for what the states say of them: scalar hints have to come back through the decoders.
`everyone=True` lets a node listen to all nodes instead of the graph's; DNAR's third choice, one message in the whole
graph, is not built. Ties go to the first sender.

Not to be confused with: finite_state.py, where a table over counts takes the place of the network, or discretised
hints, which any processor can be given by `--hint-feedback hard`.

Cost per step: N^2 (2 F^2 + (K + 4) F) multiply-adds for K edge channels, 12 N F^2 for nodes.

Shapes: B graphs, N nodes, F features, C choices (variables times states); S sender, R receiver.
"""

import torch
from torch import Tensor, nn

from nar.nn.affine import joint_linear
from nar.nn.layers import linear
from nar.nn.processor import Processor, Readout, Step
from nar.processors.transformer import unbiased


def annealed(temperature: tuple[float, float], progress: float) -> float:
    """From the first temperature to the second, geometrically."""
    first, last = temperature
    return first * (last / first) ** progress


def check_temperature(temperature: tuple[float, float]) -> None:
    if len(temperature) != 2 or not all(0 < t < float("inf") for t in temperature):
        raise ValueError(f"temperature must be two positive numbers, the first and the last, got {temperature!r}")


def chosen(logits: Tensor, hard: bool, temperature: float, dim: int = -1) -> Tensor:
    """The softmax; if `hard`, the unit vector of its largest entry in its place, with the gradient of the softmax."""
    soft = torch.softmax(logits / temperature, dim=dim)
    if not hard:
        return soft
    unit = torch.zeros_like(soft).scatter(dim, soft.argmax(dim, keepdim=True), 1.0)
    return unit + (soft - soft.detach())


class States(nn.Module):
    """Several variables, each in one of a few states, chosen from features: unit vectors side by side."""

    def __init__(self, features: int, variables: int, states: int) -> None:
        super().__init__()
        self.variables, self.size = variables, variables * states
        self.norm = nn.LayerNorm(features)
        self.logits = linear(features, self.size)

    def forward(self, features: Tensor, hard: bool, temperature: float) -> Tensor:
        logits = self.logits(self.norm(torch.relu(features))).unflatten(-1, (self.variables, -1))
        return chosen(logits, hard, temperature).flatten(-2)


class Discrete(Processor):
    """Discrete states of nodes and edges; every node listens to one other, chosen by hard attention."""

    uses_adjacency = True
    needs_pairs = True

    def __init__(
        self,
        features: int,
        *,
        node_states: int = 4,
        node_variables: int = 8,
        edge_states: int = 2,
        edge_variables: int = 4,
        everyone: bool = False,
        hard: bool = True,
        temperature: tuple[float, float] = (1.0, 0.1),
    ) -> None:
        """`node_variables` of `node_states` each, likewise for edges; `everyone`: nodes listen to all nodes.

        `hard`: choices are hard in the forward pass of training, too; `temperature`: of soft ones, first and last.
        """
        super().__init__(features)
        if min(node_states, edge_states) < 2 or min(node_variables, edge_variables) < 1:
            raise ValueError(
                "need node_states and edge_states >= 2, node_variables and edge_variables >= 1, "
                f"got {node_states}, {edge_states}, {node_variables}, {edge_variables}"
            )
        check_temperature(temperature)
        self.hard, self.temperature = hard, temperature
        self.nodes = States(features, node_variables, node_states)  # S
        self.edges = States(features, edge_variables, edge_states)  # T
        choices = self.edge_readout = self.edges.size
        self.query, self.key, self.value = (linear(2 * features, features) for _ in range(3))  # Q, K, V
        self.edge_key, self.state_key = unbiased(features, features), unbiased(choices, features)  # Ke, Kt
        self.order = unbiased(features, 1)  # p
        self.heard, self.kept = linear(features, features), linear(2 * features, features)  # U1, U2
        self.alone, self.graph = nn.Parameter(torch.zeros(features)), linear(features, features)  # u, Ug
        self.edge, self.edge_state = linear(features, features), unbiased(choices, features)  # M1, M2
        self.ends, self.listens = unbiased(features, features), unbiased(2, features)  # M3, M4
        self.embedding = linear(self.nodes.size, features)  # W
        if everyone:
            self.uses_adjacency = False

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_zeros(graphs, nodes, self.features), like.new_zeros(graphs, nodes, nodes, self.edge_readout)

    def forward(self, step: Step, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden_BNF, edges_BSRC = state
        hard, temperature = self.hard or not self.training, annealed(self.temperature, step.progress)
        hood = step.hood if self.uses_adjacency else step.hood.complete()
        query, key, value, kept = joint_linear([self.query, self.key, self.value, self.kept], step.concat(hidden_BNF))

        # q . (Kt t) is (q Kt) . t, of C numbers per pair instead of F
        logits_BSR = torch.einsum("brf,bsf->bsr", query, key) + torch.einsum(
            "brf,bsrf->bsr", query, hood.edges(self.edge_key)
        )
        logits_BSR = logits_BSR + torch.einsum("brc,bsrc->bsr", query @ self.state_key.weight, edges_BSRC)
        logits_BSR1 = logits_BSR.unsqueeze(-1) * self.features**-0.5 + hood.edges(self.order)

        def listen(logits_BSR1: Tensor, mask_BSR: Tensor | None) -> Tensor:
            if mask_BSR is not None:
                logits_BSR1 = logits_BSR1.masked_fill(~mask_BSR.unsqueeze(-1), -1e9)
            return chosen(logits_BSR1, hard, temperature, dim=1).squeeze(-1).transpose(1, 2)

        attention_BRS = hood.reduce(logits_BSR1, listen)
        own_BR1 = attention_BRS.diagonal(dim1=1, dim2=2).unsqueeze(-1)
        update_BNF = self.heard(attention_BRS @ value) + kept + own_BR1 * self.alone
        states_BNC = self.nodes(update_BNF + self.graph(step.graph).unsqueeze(1), hard, temperature)

        ends_BSRF = torch.relu(hood.senders(key) + hood.receivers(query))
        both_ways_BSR2 = torch.stack([attention_BRS.transpose(1, 2), attention_BRS], dim=-1)
        update_BSRF = (
            hood.edges(self.edge) + self.edge_state(edges_BSRC) + self.ends(ends_BSRF) + self.listens(both_ways_BSR2)
        )
        return self.embedding(states_BNC), self.edges(update_BSRF, hard, temperature)

    def readout(self, step: Step, before: tuple, after: tuple) -> Readout:
        return Readout(torch.cat([before[0], after[0]], dim=-1), after[1])
