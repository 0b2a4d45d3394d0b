"""ForgetNet and G-ForgetNet (Bohde, Liu, Saxton and Ji, ICLR 2024, arXiv 2403.04929).

A step of an algorithm depends on its current state alone, and the current state is in the inputs and hints. ForgetNet
therefore has no path from the last hidden state H: PGN's equations (pgn.py) with z = x instead of [x | H], no gate on
the output (it would mix H in again), and decoders that see [x | H'] instead of [x | H | H']. All that one step tells
the next one are the predicted hints.

Early in training these are wrong, and errors add up. G-ForgetNet lets history in through a gate on the *input*, and
makes it pay for that:

    gate      G_i = sigmoid(G2 ReLU(G1 [x_i | H_i]))                                       (per feature)
    history   z_i = [x_i | G_i H_i], then PGN's equations without the output gate;  decoders see [x | G H | H']
    penalty   loss += lambda(s) mean of G over graphs, nodes and features, averaged over the steps of the rollout,
              lambda(s) = penalty min(1, s / ramp) at the share s of the training that is done

With G = 0 it is ForgetNet, with G = 1 the ungated baseline. The mean gate of every step is noted as the measure "gate"
and drawn in the report.

Not to be confused with: the update gate of gmpnn and triplet_gmpnn, which mixes H into the *output* and starts almost
closed (bias -3); this one gates the input and starts half open.

Not known from what is public (the authors' repository holds no code): the inputs, depth and bias of the gate, the form
and schedule of the penalty, and whether the decoders see history. They are options, with defaults of ours: `gate_bias`
0 (a review speaks of a mean gate that ended near 0.4 without a penalty, so it did not start closed); `penalty` 1 and
`ramp` 0.5, chosen so that the mean gate ends below 0.05 (bellman_ford, 1,200 steps, 32 features: 0.02; with penalty 0.1
it ends at 0.15, with about the same score); `show_history` True (False: decoders see [x | H'] as in ForgetNet, and with
G = 1 the processor is still the baseline's, its decoders are not). The baseline is Triplet-MPNN here: all pairs of
nodes, triplets (an option), maximum. A checkpoint selected from before the end of the ramp has a gate that is not
closed yet: see the report's figure.

Several message passing steps in a row hand nothing on in ForgetNet, whose steps do not read their state: one is enough.

Cost per step: that of MPNN with triplets, 4 N^2 F^2 + N^3 t; the gate adds 3 N F^2.

Shapes: B graphs, N nodes, F features.
"""

import torch
from torch import Tensor, nn

from nar.nn.layers import linear
from nar.nn.neighbourhood import Reduction
from nar.nn.processor import Processor, Readout, Step
from nar.processors.mpnn import MPNN
from nar.processors.pgn import TRIPLET_FEATURES

State = tuple[Tensor, Tensor | None]


class ForgetNet(Processor):
    """Every step sees the inputs and the current hints, and nothing else."""

    uses_history = False

    def __init__(
        self,
        features: int,
        *,
        triplets: bool = True,
        triplet_features: int = TRIPLET_FEATURES,
        layer_norm: bool = True,
        reduction: Reduction = "max",
    ) -> None:
        """Options of PGN: `triplets` for the decoders, `triplet_features` wide; `reduction` of the messages."""
        super().__init__(features)
        self.network = MPNN(
            features,
            triplets=triplets,
            triplet_features=triplet_features,
            layer_norm=layer_norm,
            reduction=reduction,
        )
        # the maps of z = [x | H] become maps of x
        for name in ("receiver", "sender", "skip"):
            setattr(self.network, name, linear(features, features))
        if self.network.triplets is not None:
            self.network.triplets.nodes = nn.ModuleList(linear(features, triplet_features) for _ in range(3))
        self.node_readout = features
        self.edge_readout = self.network.edge_readout
        self.cost = self.network.cost

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> State:
        return self.network.initial_state(graphs, nodes, like)

    def forward(self, step: Step, state: State) -> State:
        nothing_BN0 = step.nodes[..., :0]  # the history that [x | H] is made with
        return self.network(step, (nothing_BN0, None))

    def readout(self, step: Step, before: State, after: State) -> Readout:
        return Readout(after[0], self.network.edge_states(after[1]))


class GForgetNet(Processor):
    """The last hidden state passes a gate, which training is made to close."""

    def __init__(
        self,
        features: int,
        *,
        gate_bias: float = 0.0,
        penalty: float = 1.0,
        ramp: float = 0.5,
        show_history: bool = True,
        triplets: bool = True,
        triplet_features: int = TRIPLET_FEATURES,
        layer_norm: bool = True,
        reduction: Reduction = "max",
    ) -> None:
        """`penalty`: weight of the mean gate in the loss, reached linearly after the share `ramp` of the training.

        `gate_bias`: initial bias of the gate; `show_history`: decoders see the gated history, too; others as in
        ForgetNet.
        """
        super().__init__(features)
        if penalty < 0 or not 0 <= ramp <= 1:
            raise ValueError(f"need penalty >= 0 and 0 <= ramp <= 1, got {penalty} and {ramp}")
        self.network = MPNN(
            features,
            triplets=triplets,
            triplet_features=triplet_features,
            layer_norm=layer_norm,
            reduction=reduction,
        )
        self.history_gate = nn.Sequential(
            linear(2 * features, features), nn.ReLU(), linear(features, features, bias=gate_bias)
        )
        self.penalty, self.ramp, self.show_history = penalty, ramp, show_history
        self.node_readout = 2 * features if show_history else features
        self.edge_readout = self.network.edge_readout
        self.cost = self.network.cost

    def initial_state(self, graphs: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Hidden state, what edge states are made of, and what the gate let through."""
        hidden_BNF, narrow_BNNt = self.network.initial_state(graphs, nodes, like)
        return hidden_BNF, narrow_BNNt, hidden_BNF

    def forward(self, step: Step, state: tuple) -> tuple[Tensor, Tensor | None, Tensor]:
        gate_BNF = torch.sigmoid(self.history_gate(torch.cat([step.nodes, state[0]], dim=-1)))
        step.notes.measure("gate", gate_BNF.mean((1, 2)))
        if self.training:  # so that validation losses stay comparable while the weight grows
            step.notes.penalty("gate", self.weight(step.progress) * gate_BNF.mean())
        history_BNF = gate_BNF * state[0]
        return *self.network(step, (history_BNF, None)), history_BNF

    def weight(self, progress: float) -> float:
        """lambda(s) of the docstring."""
        return self.penalty if progress >= self.ramp else self.penalty * progress / self.ramp

    def readout(self, step: Step, before: tuple, after: tuple) -> Readout:
        hidden_BNF, narrow_BNNt, history_BNF = after
        nodes_BNR = torch.cat([history_BNF, hidden_BNF], dim=-1) if self.show_history else hidden_BNF
        return Readout(nodes_BNR, self.network.edge_states(narrow_BNNt))
