"""Processors that carry out an algorithm's own step: message passing whose maximum is an argmin over open neighbours.

Each has linear maps like any other processor; compiled.py sets their weights so that every step is the
algorithm's. In channels of the encoded nodes x, the encoded edges e, receiver v and senders u:

    open    o[u -> v] = (a . x_u + b . x_v + c . e[u, v] > 0)            threshold units, hard in both modes
    key     y[u -> v] = p . x_u + q . e[u, v],   y[keep] = r . x_v       the candidates; keep: what v has already
    choice  alpha[. -> v] = argmin of y over keep and the open u         ties: keep, then the smallest t . x_u
            or softmax of -beta y (ties share), where beta > 0
    update  value_v = sum of alpha y,  pointer[u, v] = alpha[u -> v] + alpha[keep] old pointer[u, v]

All that a step needs is read from the hints that were fed back, so there is no memory; Floyd-Warshall alone keeps its
pointers in the state, because encoders average edge pointers away.

Not to be confused with: GATv2 with set parameters (Saldyt and Kambhampati, arXiv 2505.18623): a softmax of a bilinear
score is exact only in the limit and breaks ties by chance; here the argmin is an operation of the processor.

Shapes: B graphs, N nodes, S senders, R receivers, F features.
"""

import torch
from torch import Tensor

from nar.nn.layers import linear
from nar.nn.neighbourhood import Neighbourhood
from nar.nn.processor import Processor, Readout, Step

CLOSED = -1e30  # logit of what cannot be chosen, finite: where all are closed, keep is the only one left


def choose(
    key_BSR: Tensor, open_BSR: Tensor, tie_BSR: Tensor, keep_BR: Tensor, has_BR: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """Weights [B, S, R] of the senders and [B, R] of keeping, which sum to 1; keep wins where nothing is open.

    `has_BR`: is there something to keep, with key `keep_BR`?
    """
    infinite = key_BSR.new_tensor(torch.inf)
    if beta > 0:
        logits = torch.where(open_BSR, -beta * key_BSR, -infinite)
        kept = torch.where(has_BR, -beta * keep_BR, CLOSED)
        weights = torch.softmax(torch.cat([kept.unsqueeze(1), logits], dim=1), dim=1)
        return weights[:, 1:], weights[:, 0]
    key_BSR = torch.where(open_BSR, key_BSR, infinite)
    best_BR = key_BSR.amin(1)
    kept = torch.where(has_BR, keep_BR, infinite) <= best_BR
    tied = open_BSR & (key_BSR == best_BR.unsqueeze(1))
    tie_BSR = torch.where(tied, tie_BSR, infinite)
    chosen = tied & (tie_BSR == tie_BSR.amin(1, keepdim=True)) & ~kept.unsqueeze(1)
    return chosen.to(key_BSR.dtype), kept.to(key_BSR.dtype)


class Reference(Processor):
    """What all of them have: the sharpness of their choices, and the state itself as readout."""

    def __init__(self, features: int, *, beta: float = 0.0) -> None:
        """`beta`: sharpness of the softmax; 0: hard argmin."""
        super().__init__(features)
        if beta < 0:
            raise ValueError(f"beta must be above 0, or 0 for the argmin, got {beta}")
        self.beta = beta

    def readout(self, step: Step, before: tuple, after: tuple) -> Readout:
        return Readout(after[0], after[1])


class Relaxation(Reference):
    """Every node takes over the best offer of its open neighbours: BFS, Bellman-Ford, reachability.

    State: nodes [value, reached], edges [pointer] as one-hot columns (sender, receiver), and the choice alone.
    """

    uses_history = False
    width = 2  # channels of the hidden node state
    appended = 0  # channels that the units read of a node, beside the encoded ones

    def __init__(self, features: int, *, beta: float = 0.0) -> None:
        super().__init__(features, beta=beta)
        read = features + self.appended
        self.sender = linear(read, 3)  # key, open, tie
        self.receiver = linear(read, 3)  # key of keeping, is there something to keep, its part of open
        self.edge = linear(features, 2)  # key, open
        self.old = linear(features, 1)  # the pointer so far, stored at the edge receiver -> sender
        self.node_readout, self.edge_readout = self.width, 1

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        return like.new_zeros(graphs, nodes, self.width), None, None

    def forward(self, step: Step, state: tuple) -> tuple[Tensor, Tensor, Tensor]:
        value_BN, reached_BN, pointer_BSR, alpha_BSR = self.relax(step.hood.complete(), step.nodes)
        return torch.stack([value_BN, reached_BN], dim=-1), pointer_BSR.unsqueeze(-1), alpha_BSR

    def relax(self, hood: Neighbourhood, x_BNF: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """New values and which nodes have one [B, N]; pointers and choices [B, S, R]."""
        senders = hood.senders(self.sender(x_BNF))
        receivers = hood.receivers(self.receiver(x_BNF))
        edges = hood.edges(self.edge)
        key_BSR = senders[..., 0] + edges[..., 0]
        open_BSR = senders[..., 1] + receivers[..., 2] + edges[..., 1] > 0
        keep_BR, has_BR = receivers[:, 0, :, 0], receivers[:, 0, :, 1] > 0
        alpha, kept = choose(key_BSR, open_BSR, senders[..., 2], keep_BR, has_BR, self.beta)
        value_BR = (alpha * key_BSR).sum(1) + kept * keep_BR
        reached_BR = (has_BR | open_BSR.any(1)).to(x_BNF.dtype)
        pointer_BSR = alpha + kept.unsqueeze(1) * hood.reverse().edges(self.old).squeeze(-1)
        return value_BR, reached_BR, pointer_BSR, alpha

    def attention(self, state: tuple) -> Tensor:
        """Whom each receiver has listened to in the last step [B, S, R]; columns sum to less than 1 where it kept."""
        return state[2]


class Settling(Relaxation):
    """Dijkstra: the nearest node in the queue is settled, then all others may take over its offer.

    The units of Relaxation read x after that choice: queue and settled brought up to date, and one channel more that
    marks the chosen node. State: nodes [value, settled, queue, chosen], edges and choice as in Relaxation.
    """

    width, appended = 4, 1

    def __init__(self, features: int, *, beta: float = 0.0) -> None:
        super().__init__(features, beta=beta)
        self.queue = linear(features, 3)  # key, is it in the queue, tie
        self.move = linear(1, features)  # what being chosen adds to a node's own channels
        self.shown = linear(features + 1, 3)  # settled, queue, chosen, as the units read them

    def forward(self, step: Step, state: tuple) -> tuple[Tensor, Tensor, Tensor]:
        hood = step.hood.complete()
        key_BN, queued_BN, tie_BN = self.queue(step.nodes).unbind(-1)
        nothing = torch.zeros_like(key_BN[:, :1])
        alpha_BS1, _ = choose(
            key_BN.unsqueeze(2), queued_BN.unsqueeze(2) > 0, tie_BN.unsqueeze(2), nothing, nothing > 0, self.beta
        )
        x_BNF = torch.cat([step.nodes + self.move(alpha_BS1), alpha_BS1], dim=-1)
        value_BN, _, pointer_BSR, alpha_BSR = self.relax(hood, x_BNF)
        settled_BN, queue_BN, chosen_BN = self.shown(x_BNF).unbind(-1)
        entered_BN = (alpha_BSR.sum(1) > 0.5).to(x_BNF.dtype)
        hidden = torch.stack([value_BN, settled_BN, torch.maximum(queue_BN, entered_BN), chosen_BN], dim=-1)
        return hidden, pointer_BSR.unsqueeze(-1), alpha_BSR


class Passage(Reference):
    """Floyd-Warshall: every pair of nodes may go through the node k of this round.

    State: nodes [the next k], edges [distance, reached, pointer, pointer one round further]. A pointer is held as the
    position of the node that it names. Outputs come one round after the last hints, so every step takes two rounds.
    """

    def __init__(self, features: int, *, beta: float = 0.0) -> None:
        super().__init__(features, beta=beta)
        self.node = linear(features, 2)  # position, is it k
        self.edge = linear(features, 2)  # distance, reached
        self.node_readout, self.edge_readout = 1, 4

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor | None]:
        return like.new_zeros(graphs, nodes, 1), None

    def forward(self, step: Step, state: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor]:
        hood = step.hood.complete()
        pos_BN, k_BN = self.node(step.nodes).unbind(-1)
        distance_BNN, reached_BNN = hood.edges(self.edge).unbind(-1)
        pointer_BNN = pos_BN.unsqueeze(2).expand_as(distance_BNN) if state[1] is None else state[1][..., 2]
        found = self.round(distance_BNN, reached_BNN, pointer_BNN, k_BN)
        next_BN = self.after(pos_BN, k_BN)
        further = self.round(*found, next_BN)
        return next_BN.unsqueeze(-1), torch.stack([*found, further[2]], dim=-1)

    def after(self, pos_BN: Tensor, k_BN: Tensor) -> Tensor:
        """The node that follows k in the order of positions, marked; none after the last."""
        at_B1 = (pos_BN * k_BN).sum(1, keepdim=True)
        key_BN1, nothing = pos_BN.unsqueeze(2), torch.zeros_like(at_B1)
        open_BN1 = (pos_BN > at_B1).unsqueeze(2)
        # positions may lie close together; the softmax of another sharpness would add nothing but noise
        return choose(key_BN1, open_BN1, key_BN1, nothing, nothing > 0, 0.0)[0].squeeze(2)

    def round(self, distance_BNN: Tensor, reached_BNN: Tensor, pointer_BNN: Tensor, k_BN: Tensor):
        """Distances, who is reached, and pointers after trying node k; i -> j is [:, i, j]."""

        def column(x_BNN: Tensor) -> Tensor:  # x[i, k]
            return torch.einsum("bik,bk->bi", x_BNN, k_BN).unsqueeze(2)

        def row(x_BNN: Tensor) -> Tensor:  # x[k, j]
            return torch.einsum("bkj,bk->bj", x_BNN, k_BN).unsqueeze(1)

        offer_BNN = column(distance_BNN) + row(distance_BNN)
        open_BNN = column(reached_BNN) + row(reached_BNN) > 1.5
        has_BNN = reached_BNN > 0.5
        if self.beta > 0:
            gate_BNN = torch.sigmoid(self.beta * (distance_BNN - offer_BNN))
        else:
            gate_BNN = (offer_BNN < distance_BNN).to(offer_BNN.dtype)
        gate_BNN = torch.where(open_BNN, torch.where(has_BNN, gate_BNN, 1.0), 0.0)
        taken_BNN = gate_BNN > 0.5  # pointers are names, of which there is no mean
        return (
            # not distance + gate (offer - distance): that would round an offer that is taken whole
            gate_BNN * offer_BNN + (1 - gate_BNN) * distance_BNN,
            (has_BNN | open_BNN).to(offer_BNN.dtype),
            torch.where(taken_BNN, row(pointer_BNN), pointer_BNN),
        )
