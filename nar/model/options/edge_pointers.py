"""Edge pointers that know what they point to: an option of encoder and decoder, the processor untouched.

An edge pointer says of every pair (i, j) a node k, softly P[i, j, k] (floyd_warshall, matrix_chain_order, optimal_bst).
CLRS encodes it by averages over i and over j, so that the pair never learns which k it holds and others see 1/n of it;
its decoder scores k by w max(a_ij, q_k) + b, where no term knows the pairs (i, k) and (k, j). That this loses much is
the finding of "Compositionality of Triplet-Based NAR" (CompLearn 2026), of which only the abstract is known; what
follows is this library's own repair, not that paper's. With x, e the encoded nodes and edges, d, eps the decoders'
views of them, and t triplet features:

    look up   e_ij += sum over k of P_ijk (A1 x_k + A2 e_ik + A3 e_kj)
    triplets  e_ij += O ReLU(max over k of T_ijk),  T = t1 x_k + t2 x_i + t3 x_j + t4 e_ik + t5 e_kj + t6 e_ij + u P_ijk
    decode    s_ijk += v ReLU(T'_ijk), the same form over d and eps
    copy      s_ijl += c_ij P_ijl + sum over marks m of c'_ij sum over k of m_k P_kjl

Marks are the hints that choose one node of the graph, such as Floyd and Warshall's k: row k of their rule is the last
term, exactly. A1 to A3, O, v, c and c' start at zero: before training the model is the standard one. P and m are the
hints of the step as they were fed in; where none are (hint_mode decoded_only or none) the terms with them are absent.

The look-up is linear, so it is made of raw channels: A1 x_k and a map of the raw channels of x_k span the same maps.

Cost per step: N^3 (t + K + C) for t triplet features and K + C raw channels; two tensors of N^3 t numbers are kept for
the gradient, and without one they are made for a few i at a time.

Shapes: B graphs, N nodes, F features, R width of d, K edge channels, C node channels, t triplet features.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nar.model.coders.decoder_inputs import DecoderInputs
from nar.model.options.relations import marks_one
from nar.nn.affine import AffineFeatures, joint_linear, materialize
from nar.nn.layers import linear
from nar.traces.spec import Location, Probe, Stage, Type

WIDTH = 8  # t
CHUNK_BYTES = 64 * 2**20


def is_edge_pointer(probe: Probe) -> bool:
    return probe.location is Location.EDGE and probe.type is Type.POINTER


def marks(spec: Mapping[str, Probe]) -> list[str]:
    """The hints that choose one node of the graph."""
    return [n for n, probe in spec.items() if probe.stage is Stage.HINT and marks_one(probe)]


def pointer_hint(name: str, spec: Mapping[str, Probe]) -> str | None:
    """The hint that holds an edge pointer's present value: the hint itself, or that of an output (Pi: Pi_h)."""
    for hint in (name, f"{name}_h"):
        if hint in spec and spec[hint].stage is Stage.HINT and is_edge_pointer(spec[hint]):
            return hint
    return None


def _chunks(pairs: Tensor) -> list[slice]:
    """How to cut the first node's axis of [B, N, N, t], so that [B, chunk, N, N, t] stays small without gradients."""
    nodes = pairs.shape[1]
    row_bytes = max(1, pairs.numel() * pairs.element_size())
    step = nodes if torch.is_grad_enabled() else max(1, min(nodes, CHUNK_BYTES // row_bytes))
    return [slice(i, i + step) for i in range(0, nodes, step)]


class LookUp(nn.Module):
    """The encoder's two terms for one edge pointer, as further raw channels of the edges."""

    def __init__(self, node_channels: int, edge_channels: int, features: int, width: int = WIDTH) -> None:
        super().__init__()
        self.fetch = _zero(linear(node_channels + 2 * edge_channels, features))  # A1, A2, A3
        self.nodes = nn.ModuleList(linear(features, width) for _ in range(3))  # t1, t2, t3
        self.edges = nn.ModuleList(linear(features, width) for _ in range(3))  # t4, t5, t6
        self.pointer = linear(1, width)  # u
        self.out = _zero(linear(width, features))  # O

    def weights(self) -> tuple[Tensor, Tensor]:
        """From this module's channels to edge features: weight [C + 2 K + t, F] and bias [F]."""
        return torch.cat([self.fetch.weight, self.out.weight], dim=1).t(), self.fetch.bias + self.out.bias

    def forward(self, pointer_BNNN: Tensor, raw_BNC: Tensor, x_BNF: Tensor, edges: AffineFeatures) -> Tensor:
        """Channels [B, N, N, C + 2 K + t]; `raw_BNC`: the nodes' raw channels, `edges`: without this module's own."""
        e_BNNK = edges.channels
        fetched = [
            torch.einsum("bijk,bkc->bijc", pointer_BNNN, raw_BNC),
            torch.einsum("bijk,bikc->bijc", pointer_BNNN, e_BNNK),
            torch.einsum("bijk,bkjc->bijc", pointer_BNNN, e_BNNK),
        ]
        third, first, second = joint_linear(self.nodes, x_BNF, edges.weights)  # type: ignore[arg-type]
        ik, kj, ij = (edges.project(layer) for layer in self.edges)  # type: ignore[arg-type]
        best = best_triplet(third, ik, kj, pointer_BNNN, self.pointer)
        return torch.cat([*fetched, torch.relu(best + first.unsqueeze(2) + second.unsqueeze(1) + ij)], dim=-1)


def best_triplet(third_BNt: Tensor, ik: Tensor, kj: Tensor, pointer_BNNN: Tensor, u: nn.Linear) -> Tensor:
    """max over k of third[k] + ik[i, k] + kj[k, j] + u(P[i, j, k]), [B, i, j, t]."""
    kj_BjkT = kj.transpose(1, 2)
    best = []
    for here in _chunks(ik):
        of_ik = (third_BNt.unsqueeze(1) + ik[:, here]).unsqueeze(2)  # [B, i, 1, k, t]
        best.append((of_ik + kj_BjkT.unsqueeze(1) + u(pointer_BNNN[:, here].unsqueeze(-1))).amax(3))
    return torch.cat(best, dim=1)


class TripletScores(nn.Module):
    """The decoder's two terms for one edge pointer, both zero before training."""

    def __init__(self, node_width: int, edge_width: int, *, fed: bool, marks: int, width: int = WIDTH) -> None:
        """`fed`: a hint gives the pointer's present value; `marks`: how many hints choose a node to copy from."""
        super().__init__()
        self.nodes = nn.ModuleList(linear(node_width, width) for _ in range(3))  # t1, t2, t3
        self.edges = nn.ModuleList(linear(edge_width, width) for _ in range(3))  # t4, t5, t6
        self.pointer = linear(1, width) if fed else None  # u
        self.weigh = _zero(nn.Linear(width, 1, bias=False))  # v; a constant would shift all scores alike
        copies = (1 + marks) if fed else 0
        sizes = (node_width, node_width, edge_width)
        self.copy = nn.ModuleList(_zero(linear(size, copies)) for size in sizes) if fed else None  # c, c'

    def forward(self, inputs: DecoderInputs, pointer_state: Tensor | None, marked: list[Tensor]) -> Tensor:
        """What is added to the scores [B, i, j, k]; `pointer_state` [B, N, N, N], `marked` [B, N]: P and the marks."""
        d_BNR = materialize(inputs.nodes)
        ik, kj, ij = (inputs.project_edges(layer) for layer in self.edges)  # type: ignore[arg-type]
        of_pair = inputs.project_edges(self.copy[2]) if self.copy is not None else None  # type: ignore[arg-type]
        third, first, second = joint_linear(self.nodes, d_BNR, inputs.edges.weights)  # type: ignore[arg-type]
        of_ij = first.unsqueeze(2) + second.unsqueeze(1) + ij
        of_kj = (kj + third.unsqueeze(2)).transpose(1, 2)  # [B, j, k, t]
        found = []
        for here in _chunks(ik):
            triplet = of_ij[:, here].unsqueeze(3) + of_kj.unsqueeze(1) + ik[:, here].unsqueeze(2)
            if self.pointer is not None and pointer_state is not None:
                triplet = triplet + self.pointer(pointer_state[:, here].unsqueeze(-1))
            found.append(self.weigh(torch.relu(triplet)).squeeze(-1))
        scores = torch.cat(found, dim=1)
        if self.copy is None or of_pair is None or pointer_state is None:
            return scores
        share = self.copy[0](d_BNR).unsqueeze(2) + self.copy[1](d_BNR).unsqueeze(1) + of_pair  # [B, i, j, 1 + marks]
        scores = scores + share[..., :1] * pointer_state
        for m, mark_BN in enumerate(marked):
            row_BNN = torch.einsum("bk,bkjl->bjl", mark_BN, pointer_state)
            scores = scores + share[..., 1 + m, None] * row_BNN.unsqueeze(1)
        return scores


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    return layer
