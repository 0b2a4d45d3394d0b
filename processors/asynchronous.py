"""Layers whose result does not depend on when messages arrive (l2_max), nor on when they are sent (l3_tropical).

Dudzik, von Glehn, Pascanu and Velickovic, Asynchronous Algorithmic Alignment with Cocycles (LoG 2023,
arXiv 2306.15632); layers as in the public code of the follow-up by Monteagudo-Lago et al. (ICML workshop 2024). With
encoded nodes x, edges e and graph g, state s (at first zero) and z = [x | s]:

    l2_max         message    psi[u, v] = clip(A z_u + B z_v + E e[u, v] + G g)
    l3_tropical    message    psi[u, v] = clip(A x_u + T * s_u + B x_v + E e[u, v] + G g),  (T * s)_f = max over i of
                                                                                             s_i + T[i, f]
    both           aggregate  m_v       = max over u of psi[u, v]
                   update     s'_v      = max(s_v, m_v)

No network on the messages, no activation on the result, no gate, no LayerNorm: each would break what is claimed, in
exact terms (nar/analysis/asynchrony.py measures it) that phi(s, m) = max(s, m) is an action of the monoid of messages,
for both, and that psi maps a maximum of arguments to the maximum of their messages, for l3_tropical. It does so bit for
bit, for rounding is monotone; so is the clipping.

What the papers leave open, or what we could not read, is an option:

    bound=1e4            messages are clipped to [-bound, bound]; None: never, as published. States of l3_tropical never
                         stop growing by themselves: with the steps, or with `receiver_slot` exponentially
    complete=True        messages between all pairs; False: along the graph's edges
    sharpness=None       l3_tropical: a hard maximum in T. b > 0: log(sum exp(b .)) / b; the public code has b = 1, with
                         which psi is no longer what is claimed
    receiver_slot=False  l3_tropical: psi also has U * s_v, as in the public code; states then double with every step,
                         which float32 (without bound) survives for 100 to 200 steps
    asynchrony_weight=0  l2_max: weight of the mean square of what psi lacks to be such a map, added to the loss; the
                         follow-up tried 0.001 to 10

Not built: separate argument vectors beside states, and the sum aggregations of the follow-up.
Not to be confused with: asynchronous *execution* (nar.analysis.asynchrony.asynchronous), for MPNN and PGN, too.

Declared: permutation equivariant, uses history. Cost per step: N^2 F (K + 1) for K edge channels; 4 N F^2 of products,
or 2 N F^2 and N F^2 additions and comparisons.

Shapes: B graphs, N nodes, F features, S senders, R receivers.
"""

import torch
from torch import Tensor, nn

from nar.nn import semiring
from nar.nn.affine import joint_linear
from nar.nn.layers import linear
from nar.nn.message_layer import multimorphism_gap, partial_updates
from nar.nn.neighbourhood import Neighbourhood
from nar.nn.processor import Processor, Step


class L2Max(Processor):
    """Linear messages, maximum, maximum: applying messages together or one by one is the same."""

    aggregation = "max"

    def __init__(
        self, features: int, *, bound: float | None = 1e4, complete: bool = True, asynchrony_weight: float = 0.0
    ) -> None:
        super().__init__(features)
        if bound is not None and bound <= 0:
            raise ValueError(f"need bound > 0 or None, got {bound}")
        self.sender = linear(2 * features, features)  # A
        self.receiver = linear(2 * features, features)  # B
        self.edge = linear(features, features)  # E
        self.graph = linear(features, features)  # G
        self.bound, self.asynchrony_weight = bound, asynchrony_weight
        self.uses_adjacency = not complete

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        """Whom a node listens to."""
        return hood if self.uses_adjacency else hood.complete()

    def clip(self, messages: Tensor) -> Tensor:
        return messages if self.bound is None else messages.clamp(-self.bound, self.bound)

    def parts(self, step: Step, senders_BNF: Tensor, receivers_BNF: Tensor) -> tuple[Tensor, Tensor]:
        """What sender and receiver contribute to a message, given their arguments (states)."""
        return (
            self.sender(torch.cat([step.nodes, senders_BNF], dim=-1)),
            self.receiver(torch.cat([step.nodes, receivers_BNF], dim=-1)),
        )

    def messages(self, step: Step, senders_BNF: Tensor, receivers_BNF: Tensor) -> Tensor:
        """psi [B, S, R, F] of the arguments of both ends: `forward` pools these, in the same order of additions."""
        hood = self.neighbours(step.hood)
        senders_BNF, receivers_BNF = self.parts(step, senders_BNF, receivers_BNF)
        parts = hood.edges(self.edge) + hood.senders(senders_BNF + self.graph(step.graph).unsqueeze(1))
        return self.clip(parts + hood.receivers(receivers_BNF))

    def update(self, step: Step, state_BNF: Tensor, message_BNF: Tensor) -> Tensor:
        """phi: the next state from the last one and all messages or some of them."""
        return torch.maximum(state_BNF, message_BNF)

    def forward(self, step: Step, state: Tensor) -> Tensor:
        senders_BNF, receivers_BNF = self.parts(step, state, state)
        pooled_BNF = self.neighbours(step.hood).pool(
            senders_BNF, receivers_BNF, self.edge, self.graph(step.graph), self.clip, "max"
        )
        if self.asynchrony_weight and self.training:
            gap = multimorphism_gap(self, step, *partial_updates(self, step, state))
            step.notes.penalty("asynchrony", self.asynchrony_weight * gap.square().mean())
        return self.update(step, state, pooled_BNF)


class L3Tropical(L2Max):
    """Messages that are max-plus linear in the state: sending early and often is the same as sending once, late."""

    def __init__(
        self,
        features: int,
        *,
        bound: float | None = 1e4,
        complete: bool = True,
        sharpness: float | None = None,
        receiver_slot: bool = False,
    ) -> None:
        super().__init__(features, bound=bound, complete=complete)
        if sharpness is not None and sharpness <= 0:
            raise ValueError(f"need sharpness > 0 or None for a hard maximum, got {sharpness}")
        self.sender, self.receiver = linear(features, features), linear(features, features)  # A, B: of x alone
        self.of_sender = _tropical(features)  # T
        self.of_receiver = _tropical(features) if receiver_slot else None  # U
        self.sharpness = sharpness

    def tropical(self, state_BNF: Tensor, weight_FF: Tensor) -> Tensor:
        if self.sharpness is None:
            return semiring.linear(state_BNF, weight_FF, "max_plus")
        return semiring.linear(self.sharpness * state_BNF, self.sharpness * weight_FF, "logsumexp") / self.sharpness

    def parts(self, step: Step, senders_BNF: Tensor, receivers_BNF: Tensor) -> tuple[Tensor, Tensor]:
        sender, receiver = joint_linear([self.sender, self.receiver], step.nodes, step.weights)
        sender = sender + self.tropical(senders_BNF, self.of_sender)
        if self.of_receiver is not None:
            receiver = receiver + self.tropical(receivers_BNF, self.of_receiver)
        return sender, receiver


def _tropical(features: int) -> nn.Parameter:
    """Weights of a max-plus linear map, drawn like those of an ordinary one."""
    return nn.Parameter(linear(features, features).weight.detach().clone())
