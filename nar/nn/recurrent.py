"""Recurrent aggregators: an LSTM or a GRU reads a node's messages one after the other.

A recurrent aggregator is a sequence model over the messages, for instance an LSTM with state (h, c), gates i, f, g, o:

    (i, f, g, o) = W_ih m[s] + W_hh h + b
    c' = sigmoid(f) c + sigmoid(i) tanh(g),   h' = sigmoid(o) tanh(c');   the result is the last h

and a message that does not exist leaves the state as it is. Library kernels cannot skip a step, but they need not: the
messages that exist are moved to the front (which is what holding the state amounts to), the kernel runs over all, and
each sequence's result is read at its own end. All B x R sequences go through one call, S steps one after the other:
8 F^2 multiply-adds per message, 6 F^2 for the GRU.

Not to be confused with PyTorch Geometric's LSTMAggregation and GRUAggregation, which read padding as messages of zeros.

Shapes: B graphs, S senders, R receivers, F features; G sequences of S messages.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nar.nn.aggregators import Aggregator
from nar.nn.layers import linear

Layer = tuple[Tensor, Tensor, Tensor, Tensor]  # W_ih, W_hh, and the bias beside each


class _Weights(nn.Module):
    """One layer in one direction. Its matrices are drawn as one map of [message | h], as Haiku's LSTM does."""

    def __init__(self, gates: int, inputs: int, width: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.empty(gates * width, inputs))
        self.state = nn.Parameter(torch.empty(gates * width, width))
        self.bias = nn.Parameter(torch.empty(gates * width))
        # one bias is enough for gates that are sums; the GRU's candidate is none
        self.candidate_bias = nn.Parameter(torch.empty(width)) if gates == 3 else None

    @torch.no_grad()
    def reset_parameters(self) -> None:
        inputs = self.input.shape[1]
        both = linear(inputs + self.state.shape[1], len(self.bias))
        self.input.copy_(both.weight[:, :inputs])
        self.state.copy_(both.weight[:, inputs:])
        for bias in (self.bias, self.candidate_bias):
            if bias is not None:
                bias.zero_()

    def layer(self) -> Layer:
        beside_state = torch.zeros_like(self.bias)
        if self.candidate_bias is not None:
            beside_state = torch.cat([beside_state[len(self.candidate_bias) :], self.candidate_bias])
        return self.input, self.state, self.bias, beside_state


class RecurrentAggregator(Aggregator):
    """Base class of LSTM and GRU: one recurrent network over the messages of every receiver; see the top of this file.

    `layers`: networks stacked; `bidirectional`: a second network reads the messages from the last to the first, each
    makes half of the result; `random_order`: in training, every receiver reads its messages in an order drawn anew by
    torch's generator (Hamilton et al. 2017), in evaluation in their own.
    """

    gates: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        random_order: bool = False,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"need at least one layer, got layers={layers}")
        if bidirectional and out_channels % 2:
            raise ValueError(f"bidirectional needs an even number of features, half for each way, got {out_channels}")
        self.in_channels, self.out_channels, self.random_order = in_channels, out_channels, random_order
        self.width = out_channels // 2 if bidirectional else out_channels
        inputs = [in_channels, *[self.width] * (layers - 1)]
        self.ways = nn.ModuleList(
            nn.ModuleList(_Weights(self.gates, width, self.width) for width in inputs) for _ in range(1 + bidirectional)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for layer in self._layers():
            layer.reset_parameters()

    def _layers(self) -> list[_Weights]:
        return [layer for way in self.ways for layer in way]  # type: ignore[attr-defined]

    def kernel(self, messages_SGF: Tensor, layers: Sequence[Layer]) -> Tensor:
        """The top layer's h after every message; a layer is given as W_ih, W_hh and the biases beside each."""
        start = messages_SGF.new_zeros(len(layers), messages_SGF.shape[1], self.width)
        options = (True, len(layers), 0.0, torch.is_grad_enabled(), False, False)
        if self.gates == 4:
            return torch.lstm(messages_SGF, (start, start), _contiguous(layers), *options)[0]
        return torch.gru(messages_SGF, start, _contiguous(layers), *options)[0]

    def reduce_sequence(self, messages_GSF: Tensor, mask_GS: Tensor | None = None) -> Tensor:
        return self._run(messages_GSF.transpose(0, 1), None if mask_GS is None else mask_GS.t())

    def reduce_dense(
        self, messages_BSRF: Tensor, mask_BSR: Tensor | None = None, *, after: nn.Linear | None = None
    ) -> Tensor:
        """`after`: the messages are `after(messages_BSRF)`, which is computed as part of the input's product.

        Exact, W (L v + b) = (W L) v + W b, and cheaper by one product and one tensor of the messages' size.
        """
        messages_SGF = messages_BSRF.transpose(0, 1).flatten(1, 2)
        mask_SG = None if mask_BSR is None else mask_BSR.transpose(0, 1).flatten(1)
        return self._run(messages_SGF, mask_SG, after).unflatten(0, (messages_BSRF.shape[0], -1))

    def _run(self, messages_SGF: Tensor, mask_SG: Tensor | None, after: nn.Linear | None = None) -> Tensor:
        if 0 in messages_SGF.shape[:2]:
            return messages_SGF.new_zeros(messages_SGF.shape[1], self.out_channels)
        if self.random_order and self.training:
            order_SG = torch.rand(messages_SGF.shape[:2], device=messages_SGF.device).argsort(0)
            messages_SGF = _take(messages_SGF, order_SG)
            mask_SG = None if mask_SG is None else mask_SG.gather(0, order_SG)
        found = []
        for way, layers in enumerate(self.ways):
            if way:
                messages_SGF, mask_SG = messages_SGF.flip(0), None if mask_SG is None else mask_SG.flip(0)
            found.append(self._one_way(messages_SGF, mask_SG, [*layers], after))  # type: ignore[misc]
        return found[0] if len(found) == 1 else torch.cat(found, dim=-1)

    def _one_way(
        self, messages_SGF: Tensor, mask_SG: Tensor | None, layers: list[_Weights], after: nn.Linear | None
    ) -> Tensor:
        weights = [layer.layer() for layer in layers]
        if after is not None:
            into, state, bias, state_bias = weights[0]
            bias = bias if after.bias is None else torch.addmv(bias, into, after.bias)
            weights[0] = (into @ after.weight, state, bias, state_bias)
        if mask_SG is None:
            return self.kernel(messages_SGF, weights)[-1]
        sizes_G = mask_SG.sum(0)
        front_SG = torch.sort((~mask_SG).to(torch.int8), dim=0, stable=True).indices
        # elsewhere, to know the longest would mean to wait for the device
        if messages_SGF.device.type == "cpu" and not torch.compiler.is_compiling():
            front_SG = front_SG[: max(1, int(sizes_G.max()))]
        beyond_SG = torch.arange(len(front_SG), device=sizes_G.device).unsqueeze(1) >= sizes_G
        # zeros, as what stands at a masked position may be infinite, and its gradient then not a number
        front_SGF = _take(messages_SGF, front_SG).masked_fill(beyond_SG.unsqueeze(-1), 0.0)
        states_SGF = self.kernel(front_SGF, weights)
        last_GF = _take(states_SGF, (sizes_G - 1).clamp(min=0).unsqueeze(0))[0]
        return last_GF.where(sizes_G.unsqueeze(-1) > 0, 0.0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels})"


def _take(x_SGF: Tensor, order_SG: Tensor) -> Tensor:
    return x_SGF.gather(0, order_SG.unsqueeze(-1).expand(-1, -1, x_SGF.shape[-1]))


class LSTMAggregator(RecurrentAggregator):
    """LSTM (Hochreiter and Schmidhuber 1997) as at the top of this file, the forget gate's bias starting at 1."""

    gates = 4

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        for layer in self._layers():
            layer.bias[self.width : 2 * self.width] = 1.0

    @torch.no_grad()
    def load_haiku(self, w: Tensor, b: Tensor) -> None:
        """Parameters of dm-haiku's hk.LSTM: w [F + H, 4 H] of [message | h], b [4 H], gates in the order i, g, f, o.

        Haiku adds 1 to the forget gate when it is used; here that is part of the bias.
        """
        if len(self._layers()) > 1:
            raise ValueError("hk.LSTM is one layer in one direction; got layers > 1 or bidirectional")
        layer, expected = self._layers()[0], (self.in_channels + self.width, 4 * self.width)
        if tuple(w.shape) != expected or tuple(b.shape) != expected[1:]:
            raise ValueError(f"need w {expected} and b {expected[1:]}, got {tuple(w.shape)} and {tuple(b.shape)}")
        i, g, f, o = torch.cat([w, b.unsqueeze(0)]).t().chunk(4)
        input_state_bias = torch.cat([i, f, g, o]).split([self.in_channels, self.width, 1], dim=1)
        for parameter, value in zip((layer.input, layer.state, layer.bias), input_state_bias, strict=True):
            parameter.copy_(value.view_as(parameter))
        layer.bias[self.width : 2 * self.width] += 1.0


class GRUAggregator(RecurrentAggregator):
    """GRU (Cho et al. 2014) in cuDNN's form, where the reset gate acts after the product with h:

        r, z = sigmoid of their rows of (W_ih m[s] + W_hh h + b)
        n    = tanh(W_in m[s] + b_n + r (W_hn h + b_hn)),   h' = (1 - z) n + z h

    Haiku's hk.GRU resets h before the product, which is another network.
    """

    gates = 3


def _contiguous(layers: Sequence[Layer]) -> list[Tensor]:
    """The kernel's list of weights. cuDNN wants them in one piece, all matrices before all biases, or copies them."""
    flat = [part for layer in layers for part in layer]
    if not flat[0].is_cuda:
        return flat
    pieces = [part for layer in layers for part in layer[:2]] + [part for layer in layers for part in layer[2:]]
    whole = torch.cat([piece.reshape(-1) for piece in pieces]).split([piece.numel() for piece in pieces])
    views = [part.view_as(piece) for part, piece in zip(whole, pieces, strict=True)]
    half = len(views) // 2
    return [view for n in range(0, half, 2) for view in (*views[n : n + 2], *views[half + n : half + n + 2])]
