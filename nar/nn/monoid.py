"""Learnable commutative monoids: a binary operator on messages, applied over a balanced tree.

Paper: Ong and Velickovic, Learnable Commutative Monoids for Graph Neural Networks, LoG 2022, arXiv 2212.08541.

    operator    a + b  = 1/2 (GRU(a, b) + GRU(b, a))       GRU(input, state), in PyTorch's form: the same for b + a
    reduction   x[0..n)  ->  (x0 + x1), (x2 + x3), ...  ->  ...  ->  one vector, after ceil(log2 n) levels
    identity    a message that does not exist: a + nothing = a, nothing + nothing = nothing, exactly

The messages that exist are first moved together, in their order, so the tree is the one over their list alone: neither
padding nor where the masked neighbours stand has any effect. An odd last element passes to the next level as it is.
Commutativity is by construction, associativity is not: the result depends on the order of the messages as far as the
learned operator is not associative. `associativity` adds that error to the loss,

    E |(a + b) + c - a + (b + c)|^2 / F      over triples of nodes of the same tree, leaves and inner ones

and `commutativity` the like for operators that are not commutative by construction (`ordered_gru`, `ordered_mlp`).

Known of the paper: the Binary-GRU operator and the balanced tree. Not known, hence options: the regularisers' weights
and which triples they take, what stands for the identity, the operator's initialisation (here that of nn.GRUCell).

Not to be confused with torch_geometric.nn.LCMAggregation, whose operator is the same one (`operator.of.cell` loads its
`gru_cell`), but which reads padding as messages of zeros, so that a node's result depends on the largest degree of the
batch; and not with a prefix scan, which would give all partial results.

Cost per receiver with n messages: n - 1 operators, 24 (n - 1) F^2 floating-point operations with the GRU (an LSTM over
the sequence takes 16 n F^2, in n steps instead of log2 n). Every level is one call for all pairs of all receivers.

Shapes: B graphs, S senders, R receivers, F features; G sequences, L nodes of a level, P pairs, K triples.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nar.nn.aggregators import Aggregator
from nar.nn.layers import linear


class OrderedGRU(nn.Module):
    """GRU(a, b): a is the input, b the state. Not commutative."""

    commutative = False

    def __init__(self, features: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(features, features)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.cell(a.flatten(0, -2), b.flatten(0, -2)).view_as(a)


class OrderedMLP(nn.Module):
    """W2 ReLU(W1 [a | b]). Not commutative."""

    commutative = False

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = linear(2 * features, features)
        self.second = linear(features, features)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(torch.cat([a, b], dim=-1))))


class Symmetrised(nn.Module):
    """1/2 (f(a, b) + f(b, a)): commutative for every f. Both orders are one call."""

    commutative = True

    def __init__(self, of: nn.Module) -> None:
        super().__init__()
        self.of = of

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        one, other = self.of(torch.stack([a, b]), torch.stack([b, a])).unbind(0)
        return (one + other) / 2


class MappedSum(nn.Module):
    """rho(phi(a) + phi(b)) with phi a linear map and ReLU, rho a linear map: commutative. Deep Sets of two elements."""

    commutative = True

    def __init__(self, features: int) -> None:
        super().__init__()
        self.phi = linear(features, features)
        self.rho = linear(features, features)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.rho(torch.relu(self.phi(a)) + torch.relu(self.phi(b)))


OPERATORS: dict[str, Callable[[int], nn.Module]] = {
    "gru": lambda features: Symmetrised(OrderedGRU(features)),
    "mlp": lambda features: Symmetrised(OrderedMLP(features)),
    "mapped_sum": MappedSum,
    "ordered_gru": OrderedGRU,
    "ordered_mlp": OrderedMLP,
}


def tree_levels(
    leaves_GLF: Tensor, operator: Callable[[Tensor, Tensor], Tensor], count_G: Tensor | None = None
) -> list[Tensor]:
    """The levels of the tree, leaves first; each halves the one before, and the last has one node.

    Of the leaves only the first `count_G` of each sequence exist (None: all do); what the others hold has no effect.
    """
    levels = [leaves_GLF]
    while (nodes := levels[-1].shape[1]) > 1:
        level_GLF, pairs = levels[-1], nodes // 2
        left_GPF, right_GPF = level_GLF[:, 0 : 2 * pairs : 2], level_GLF[:, 1 : 2 * pairs : 2]
        if count_G is None:
            joined_GPF = operator(left_GPF, right_GPF)
        else:
            right_exists_GP = torch.arange(1, 2 * pairs, 2, device=count_G.device) < count_G.unsqueeze(1)
            # to count the pairs would make the host wait for any other device
            join = _joined_pairs if right_exists_GP.device.type == "cpu" else _joined_everywhere
            joined_GPF = join(operator, left_GPF, right_GPF, right_exists_GP)
            count_G = (count_G + 1) // 2
        levels.append(torch.cat([joined_GPF, level_GLF[:, -1:]], dim=1) if nodes % 2 else joined_GPF)
    return levels


def _joined_everywhere(operator: Callable, left_GPF: Tensor, right_GPF: Tensor, both_GP: Tensor) -> Tensor:
    """The left one joined with the right one where there are both, else the left one."""
    return torch.where(both_GP.unsqueeze(-1), operator(left_GPF, right_GPF), left_GPF)


def _joined_pairs(operator: Callable, left_GPF: Tensor, right_GPF: Tensor, both_GP: Tensor) -> Tensor:
    """The same with the operator called on nothing but pairs, which for few neighbours is much less."""
    which = both_GP.nonzero(as_tuple=True)
    if not len(which[0]):
        return left_GPF
    return left_GPF.index_put(which, operator(left_GPF[which], right_GPF[which]).to(left_GPF.dtype))


def moved_together(messages_GSF: Tensor, mask_GS: Tensor, key_GS: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Messages that exist first, in their order (or in that of `key_GS`, within [0, 1)), then zeros; and their number.

    Zeros, because what stands at a masked position may be anything, and infinity times no gradient is not a number.
    """
    key_GS = ~mask_GS if key_GS is None else key_GS + (~mask_GS).to(key_GS.dtype)
    order_GS = torch.argsort(key_GS.to(torch.uint8) if key_GS.dtype is torch.bool else key_GS, dim=1, stable=True)
    messages_GSF = messages_GSF.masked_fill(~mask_GS.unsqueeze(-1), 0.0)
    return messages_GSF.gather(1, order_GS.unsqueeze(-1).expand_as(messages_GSF)), mask_GS.sum(1)


def associativity_error(operator: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Mean over triples and features of the squared difference of the two ways to join three."""
    return (operator(operator(a, b), c) - operator(a, operator(b, c))).square().mean()


def commutativity_error(operator: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Mean over pairs and features of the squared difference of the two orders."""
    return (operator(a, b) - operator(b, a)).square().mean()


class LCMAggregator(Aggregator):
    """A binary operator over a balanced tree of messages: see the module's docstring."""

    def __init__(
        self,
        features: int,
        *,
        operator: str | nn.Module = "gru",
        associativity: float = 0.0,
        commutativity: float = 0.0,
        triples: int = 256,
        random_order: bool = False,
        learned_empty: bool = False,
    ) -> None:
        """`operator`: a name of OPERATORS, or a module of your own that makes one vector of two.

        `associativity`, `commutativity`: weights of the penalties, of which `triples` are drawn per call in training;
        `random_order`: messages are shuffled in training; `learned_empty`: the result of no messages at all is learned,
        instead of zeros.
        """
        super().__init__()
        if isinstance(operator, str):
            if operator not in OPERATORS:
                raise ValueError(f"unknown operator {operator!r}; choose one of {', '.join(OPERATORS)}")
            operator = OPERATORS[operator](features)
        if associativity < 0 or commutativity < 0 or triples < 1:
            raise ValueError(
                f"got associativity {associativity}, commutativity {commutativity}, triples {triples}; "
                "weights must not be negative, and at least one triple is needed"
            )
        if commutativity and getattr(operator, "commutative", False):
            raise ValueError(
                f"commutativity {commutativity} has no effect on an operator that is commutative by construction"
            )
        self.operator = operator
        self.associativity, self.commutativity, self.triples = associativity, commutativity, triples
        self.random_order = random_order
        self.empty = nn.Parameter(torch.zeros(features)) if learned_empty else None
        self.penalty: Tensor | None = None  # of the last call in training, weighted; None where no weight is set

    def reset_parameters(self) -> None:
        """Draw the parameters again, as PyTorch Geometric asks for; linear maps then have PyTorch's initialisation."""
        for module in self.operator.modules():
            if isinstance(module, nn.GRUCell | nn.Linear):
                module.reset_parameters()
        if self.empty is not None:
            nn.init.zeros_(self.empty)

    def reduce_sequence(self, messages_GSF: Tensor, mask_GS: Tensor | None = None) -> Tensor:
        count_G = None
        if self.random_order and self.training:
            shuffle_GS = torch.rand(messages_GSF.shape[:2], device=messages_GSF.device)
            everyone_GS = torch.ones_like(shuffle_GS, dtype=torch.bool)
            messages_GSF, count = moved_together(messages_GSF, everyone_GS if mask_GS is None else mask_GS, shuffle_GS)
            count_G = None if mask_GS is None else count
        elif mask_GS is not None:
            messages_GSF, count_G = moved_together(messages_GSF, mask_GS)
        levels = tree_levels(messages_GSF, self.operator, count_G)
        self.penalty = None
        if self.training and torch.is_grad_enabled() and (self.associativity or self.commutativity):
            self.penalty = self._penalty(levels, count_G)
        reduced_GF = levels[-1].squeeze(1)
        if self.empty is not None and count_G is not None:
            reduced_GF = torch.where((count_G > 0).unsqueeze(-1), reduced_GF, self.empty)
        return reduced_GF

    def _penalty(self, levels: list[Tensor], count_G: Tensor | None) -> Tensor:
        a, b, c = sampled_triples(levels, count_G, self.triples)
        penalty = levels[0].new_zeros(())
        if self.associativity:
            penalty = penalty + self.associativity * associativity_error(self.operator, a, b, c)
        if self.commutativity:
            penalty = penalty + self.commutativity * commutativity_error(self.operator, a, b)
        return penalty

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"penalty": None}  # a part of a graph of gradients cannot be copied or saved

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.operator})"


def sampled_triples(levels: list[Tensor], count_G: Tensor | None, triples: int) -> Tensor:
    """Nodes of trees, [3, K, F]: each triple from one tree, its three members from random levels and positions."""
    leaves_GLF = levels[0]
    device, sequences = leaves_GLF.device, leaves_GLF.shape[0]
    row_K = torch.randint(sequences, (triples,), device=device)
    level_3K = torch.randint(len(levels), (3, triples), device=device)
    where_3K = torch.rand(3, triples, device=device)
    count_K = None if count_G is None else count_G[row_K]
    chosen_3KF = leaves_GLF.new_zeros(3, triples, leaves_GLF.shape[-1])
    for k, level_GLF in enumerate(levels):
        nodes = level_GLF.shape[1] if count_K is None else count_K.clamp(min=1)  # of no leaves, a zero
        found_3KF = level_GLF[row_K, (where_3K * nodes).long().clamp(max=level_GLF.shape[1] - 1)]
        chosen_3KF = torch.where((level_3K == k).unsqueeze(-1), found_3KF, chosen_3KF)
        count_K = None if count_K is None else (count_K + 1) // 2
    return chosen_3KF
