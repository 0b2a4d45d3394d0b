"""Any message-passing layer of PyTorch Geometric (Fey and Lenssen 2019, arXiv 1903.02428) as a processor.

With z = [x + g | H], x the encoded nodes, g the encoded graph, H the last hidden state and e the encoded edges:

    H' = LayerNorm(ReLU(layer(z, edges, We e) + S z))

The edges are those of the batch's graphs, side by side as one graph, sorted by receiver and then by sender, so that
aggregations that need an order find that of the nodes; every node neighbours itself. `We e` goes to layers whose
`forward` takes `edge_attr`; a scalar `edge_weight` is left at its default.

A layer is a class (or `module:Class` by name), made as `Layer(2 * features, features)`, with `edge_dim=features` and
`add_self_loops=False` where it takes them and a network of two linear maps where it takes `nn` first:

    nar train --processor nar.processors.message_passing:MessagePassing --option layer=torch_geometric.nn:GATv2Conv

or a function of (inputs, outputs, edges), all widths, that makes it. A file with six lines is a processor of your own:

    from torch_geometric.nn import GATv2Conv
    from nar.processors.message_passing import MessagePassing

    class MyGATProcessor(MessagePassing):
        def __init__(self, features, *, heads=4):
            super().__init__(features, layer=lambda inputs, outputs, edges: GATv2Conv(
                inputs, outputs // heads, heads, edge_dim=edges, add_self_loops=False))

Layers for graphs of the same kind only: not heterogeneous ones, nor those that need positions or types. What a layer
breaks is yours to declare: `permutation_equivariant = False` for recurrent aggregations. PyTorch Geometric's own LSTM,
GRU and LCM aggregations, and norms over the batch, also mix the graphs of a batch; nar.nn.recurrent and nar.nn.monoid
do not.

Not to be confused with processors/gatv2.py and gin.py, which are those layers as CLRS has them.

Cost per step: the layer's; features of all N^2 pairs are made before the edges among them are chosen (`complete`: all).
To count the edges, the host waits for a GPU once per step.

Shapes: B graphs, N nodes, F features, E edges.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from nar.lookup import addressed
from nar.nn.layers import linear
from nar.nn.neighbourhood import Dense, Neighbourhood
from nar.nn.processor import Processor, Step

Layer = str | type[pyg.MessagePassing] | Callable[[int, int, int], nn.Module]


class MessagePassing(Processor):
    """One layer of PyTorch Geometric over the graph's edges; `complete`: over all pairs of nodes."""

    uses_adjacency = True

    def __init__(
        self,
        features: int,
        *,
        layer: Layer,
        complete: bool = False,
        self_loops: bool = True,
        skip: bool = True,
        layer_norm: bool = True,
    ) -> None:
        """`layer`: see the top of this file. `self_loops`: every node is also a neighbour of itself; a layer that adds
        the receiver on its own, such as GINConv, does without. `skip`: the term S z.
        """
        super().__init__(features)
        self.layer = _made(layer, 2 * features, features)
        self.flow = getattr(self.layer, "flow", "source_to_target")
        takes_edges = "edge_attr" in inspect.signature(self.layer.forward).parameters
        # attention layers that were made without edges take None for them and nothing else
        takes_edges &= getattr(self.layer, "edge_dim", features) is not None
        self.edge = linear(features, features) if takes_edges else None
        self.skip = linear(2 * features, features) if skip else None
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()
        self.self_loops = self_loops
        if complete:
            self.uses_adjacency = False

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = step.hood if self.uses_adjacency else step.hood.complete()
        z_BNZ = torch.cat([step.nodes + step.graph.unsqueeze(1), state], dim=-1)
        graph, sender, receiver = edge_list(hood, z_BNZ, self.self_loops)
        ends = [graph * hood.nodes + sender, graph * hood.nodes + receiver]
        edge_index_2E = torch.stack(ends if self.flow == "source_to_target" else ends[::-1])
        named = {} if self.edge is None else {"edge_attr": hood.edges(self.edge)[graph, sender, receiver]}
        updated = self.layer(z_BNZ.flatten(0, 1), edge_index_2E, **named)
        if updated.shape != (z_BNZ.shape[0] * z_BNZ.shape[1], self.features):
            raise ValueError(
                f"{type(self.layer).__name__} gives {tuple(updated.shape)} for {z_BNZ.shape[0]} graphs of "
                f"{z_BNZ.shape[1]} nodes; a row of {self.features} features per node is required"
            )
        updated = updated.unflatten(0, z_BNZ.shape[:2])
        return self.norm(torch.relu(updated if self.skip is None else updated + self.skip(z_BNZ)))


def edge_list(hood: Neighbourhood, like_BNF: Tensor, self_loops: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Graph, sender and receiver [E] of every edge, sorted by graph, receiver, sender."""
    if not isinstance(hood, Dense):
        raise ValueError(f"a layer of PyTorch Geometric runs over a Dense neighbourhood, got {type(hood).__name__}")
    graphs, nodes, _ = like_BNF.shape
    if hood.adjacency_BNN is None:
        here_BRS = torch.ones(graphs, nodes, nodes, dtype=torch.bool, device=like_BNF.device)
    else:
        here_BRS = hood.adjacency_BNN.transpose(1, 2)
    if not self_loops:
        here_BRS = here_BRS & ~torch.eye(nodes, dtype=torch.bool, device=like_BNF.device)
    graph, receiver, sender = here_BRS.nonzero(as_tuple=True)
    return graph, sender, receiver


def _made(layer: Any, inputs: int, outputs: int) -> nn.Module:
    """The layer, from a name, a class or a function."""
    if isinstance(layer, str):
        if ":" not in layer:
            raise ValueError(f"layer {layer!r} is not of the form module:Class, as in torch_geometric.nn:GATv2Conv")
        address, layer = layer, addressed("layer", layer, "torch_geometric.nn:GATv2Conv")
        if layer is None:
            raise ValueError(f"layer {address!r} is not found")
    if not inspect.isclass(layer):
        if not callable(layer):
            raise ValueError(f"layer is {layer!r}; a MessagePassing class or a function that makes one is required")
        return layer(inputs, outputs, outputs)  # type: ignore[return-value]
    if not issubclass(layer, pyg.MessagePassing):
        raise ValueError(f"layer {layer.__name__} is not a torch_geometric.nn.MessagePassing")
    takes = inspect.signature(layer.__init__).parameters
    offered = {"edge_dim": outputs, "in_edge_channels": outputs, "add_self_loops": False}
    options: dict[str, Any] = {name: value for name, value in offered.items() if name in takes}
    made: Any = layer
    if issubclass(layer, pyg.GINConv | pyg.GINEConv):
        return made(nn.Sequential(linear(inputs, outputs), nn.ReLU(), linear(outputs, outputs)), **options)
    needed = {name for name, p in takes.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
    if needed != {"self", "in_channels", "out_channels"}:
        needs = ", ".join(name for name in takes if name in needed - {"self"}) or "no widths"
        raise ValueError(
            f"layer {layer.__name__} takes {needs}, not in_channels and out_channels alone; "
            "pass a function of (inputs, outputs, edges) that makes it"
        )
    return made(inputs, outputs, **options)
