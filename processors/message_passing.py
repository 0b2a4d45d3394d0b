"""Any message-passing layer of PyTorch Geometric (Fey and Lenssen 2019, arXiv 1903.02428) as a processor.

With z = [x + g | H], x the encoded nodes, g the encoded graph, H the last hidden state and e the encoded edges:

    H' = LayerNorm(ReLU(layer(z, edges, We e) + S z))

The edges are those of the batch's graphs, side by side as one graph, sorted by receiver and then by sender, so that
aggregations that need an order find that of the nodes; every node neighbours itself. Every layer sees the edges'
features, weights and pointers among them: as `edge_attr` where its `forward` takes that; else We e, as wide as what the
layer's messages take from the sender, is added to that, x_j, in every message, as GINEConv does. A scalar `edge_weight`
is left at its default. Layers that change the edges or send no x_j (ChebConv, LEConv) are refused, unless `edges=False`
says that a network without features of edges is what is meant.

A layer is a class, made as `Layer(2 * features, features)`, with `edge_dim=features` and `add_self_loops=False` where
it takes them and a network of two linear maps where it takes `nn` first. By name, it stands where a processor does:

    nar train --processor torch_geometric.nn:SAGEConv

In a program, a layer may also be a function of (inputs, outputs, edges), all widths, that makes it. A file with six
lines is a processor of your own:

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

Cost per step: the layer's; in the dense layout features of all N^2 pairs are made before the edges among them are
chosen (`complete`: all). To count the edges, the host then waits for a GPU once per step.

Shapes: B graphs, N nodes, F features, E edges.
"""

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from nar.lookup import addressed
from nar.nn.layers import linear
from nar.nn.neighbourhood import Dense, Neighbourhood
from nar.nn.processor import Processor, Step
from nar.nn.sparse.hood import Sparse

Layer = str | type[pyg.MessagePassing] | Callable[[int, int, int], nn.Module]


class MessagePassing(Processor):
    """One layer of PyTorch Geometric over the graph's edges; `complete`: over all pairs of nodes."""

    uses_adjacency = True

    def __init__(
        self,
        features: int,
        *,
        layer: Layer,
        edges: bool = True,
        complete: bool = False,
        self_loops: bool = True,
        skip: bool = True,
        layer_norm: bool = True,
    ) -> None:
        """`layer`: see the top of this file. `edges`: it sees features of edges; ValueError where it cannot.
        `self_loops`: every node is also a neighbour of itself; a layer that adds the receiver on its own, such as
        GINConv, does without. `skip`: the term S z.
        """
        super().__init__(features)
        self.layer = _made(layer, 2 * features, features)
        self.flow = getattr(self.layer, "flow", "source_to_target")
        _check_forward(self.layer)
        takes_edges = "edge_attr" in inspect.signature(self.layer.forward).parameters
        # attention layers that were made without edges take None for them and nothing else
        takes_edges &= getattr(self.layer, "edge_dim", features) is not None
        self.edge = linear(features, features) if takes_edges and edges else None
        self.added = nn.ModuleDict()  # by the place of a layer in self.layer: what is added to its messages
        if edges and not takes_edges:
            widths = _message_widths(self.layer, 2 * features, self.flow, self_loops)
            if not widths:
                raise ValueError(
                    f"layer {type(self.layer).__name__} has no place for features of edges, which hold weights and "
                    "pointers: its forward takes no edge_attr, and its messages no x_j of every edge that it is given; "
                    "make it with edge_dim=edges or add_self_loops=False if it has these, choose another layer, or "
                    "train without them by edges=False"
                )
            self.added.update({str(place): linear(features, width) for place, width in widths.items()})
        self.uses_edges = edges
        self.skip = linear(2 * features, features) if skip else None
        self.norm = nn.LayerNorm(features) if layer_norm else nn.Identity()
        self.self_loops = self_loops
        if complete:
            self.uses_adjacency = False

    def _added(self) -> list[tuple[str, nn.Linear]]:
        return [(place, edge) for place, edge in self.added.items() if isinstance(edge, nn.Linear)]

    def forward(self, step: Step, state: Tensor) -> Tensor:
        hood = step.hood if self.uses_adjacency else step.hood.complete()
        z_BNZ = torch.cat([step.nodes + step.graph.unsqueeze(1), state], dim=-1)
        ends, place = edge_list(hood, z_BNZ, self.self_loops)
        edge_index_2E = torch.stack(ends if self.flow == "source_to_target" else ends[::-1])
        named = {} if self.edge is None else {"edge_attr": hood.edges(self.edge)[place]}
        added = {int(layer): hood.edges(edge)[place] for layer, edge in self._added()}
        given = z_BNZ.flatten(0, 1), edge_index_2E
        layer: Any = self.layer
        added_to: Any = _with_added
        updated = added_to(layer, added, *given) if added else layer(*given, **named)
        if updated.shape != (z_BNZ.shape[0] * z_BNZ.shape[1], self.features):
            raise ValueError(
                f"{type(self.layer).__name__} gives {tuple(updated.shape)} for {z_BNZ.shape[0]} graphs of "
                f"{z_BNZ.shape[1]} nodes; a row of {self.features} features per node is required"
            )
        updated = updated.unflatten(0, z_BNZ.shape[:2])
        return self.norm(torch.relu(updated if self.skip is None else updated + self.skip(z_BNZ)))


def _check_forward(layer: nn.Module) -> None:
    """ValueError where the layer asks for more than nodes, edges and features of these."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes = [p for p in inspect.signature(layer.forward).parameters.values() if p.kind in kinds]
    needed = [p.name for p in takes if p.default is p.empty]
    if len(needed) > 2 + ("edge_attr" in needed):
        raise ValueError(
            f"the forward of layer {type(layer).__name__} takes {', '.join(needed)}; what there is are features of "
            "nodes, edge_index and edge_attr: choose another layer"
        )


def edge_list(hood: Neighbourhood, like_BNF: Tensor, self_loops: bool = True) -> tuple[list[Tensor], Any]:
    """Sender and receiver [E] of every edge, as rows of [B * N], sorted by graph, receiver, sender; and where the
    neighbourhood has their features."""
    if isinstance(hood, Sparse):
        edges = hood.edge_list
        place = slice(None) if self_loops else edges.senders != edges.receivers
        return [edges.senders[place], edges.receivers[place]], place
    if not isinstance(hood, Dense):
        raise ValueError(f"a layer of PyTorch Geometric runs over edges, got {type(hood).__name__}")
    graphs, nodes, _ = like_BNF.shape
    if hood.adjacency_BNN is None:
        here_BRS = torch.ones(graphs, nodes, nodes, dtype=torch.bool, device=like_BNF.device)
    else:
        here_BRS = hood.adjacency_BNN.transpose(1, 2)
    if not self_loops:
        here_BRS = here_BRS & ~torch.eye(nodes, dtype=torch.bool, device=like_BNF.device)
    graph, receiver, sender = here_BRS.nonzero(as_tuple=True)
    return [graph * nodes + sender, graph * nodes + receiver], (graph, sender, receiver)


def _message_widths(layer: nn.Module, inputs: int, flow: str, self_loops: bool) -> dict[int, int]:
    """Which layers of PyTorch Geometric in `layer`, by their place, send a message x_j along each of the edges that
    they are given, in their order, and how wide it is: found on a graph of two nodes."""
    layer = copy.deepcopy(layer).eval()  # some keep what they are given
    edges_2E = torch.tensor([[0, 1, 0, 1], [0, 0, 1, 1]] if self_loops else [[1, 0], [0, 1]])
    edges_2E = edges_2E if flow == "source_to_target" else edges_2E.flip(0)
    widths: dict[int, set[int | None]] = {}

    def watch(place: int, module: pyg.MessagePassing) -> None:
        def edges(_: Any, given: tuple) -> None:
            if not (isinstance(given[0], Tensor) and given[0].equal(edges_2E)):
                widths.setdefault(place, set()).add(None)

        def message(_: Any, given: tuple) -> None:
            x = given[0].get("x_j")
            fits = isinstance(x, Tensor) and x.shape[module.node_dim] == edges_2E.shape[1]
            widths.setdefault(place, set()).add(math.prod(_after(x, module)) if fits else None)

        module.register_propagate_forward_pre_hook(edges)
        module.register_message_forward_pre_hook(message)

    for place, module in enumerate(layer.modules()):
        if isinstance(module, pyg.MessagePassing):
            watch(place, module)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        layer(torch.ones(2, inputs), edges_2E)
    return {place: width for place, (width, *others) in widths.items() if width is not None and not others}


def _after(x: Tensor, module: pyg.MessagePassing) -> tuple[int, ...]:
    """The axes of messages behind that of the edges: features, or heads and features."""
    return tuple(x.shape[module.node_dim % x.dim() + 1 :])


@torch.compiler.disable  # which does not look for hooks
def _with_added(layer: Any, added: dict[int, Tensor], *given: Tensor) -> Tensor:
    """What the layer makes of `given`, where at each place the tensor [E, width] is added to x_j of all messages."""

    def hook(edges_EW: Tensor) -> Callable:
        def add(module: pyg.MessagePassing, given: tuple) -> dict[str, Any]:
            x = given[0]["x_j"]
            return {**given[0], "x_j": x + edges_EW.view(-1, *_after(x, module))}

        return add

    modules = [module for place, module in enumerate(layer.modules()) if place in added]
    handles = [m.register_message_forward_pre_hook(hook(e)) for m, e in zip(modules, added.values(), strict=True)]  # pyright: ignore
    try:
        return layer(*given)
    finally:
        for handle in handles:
            handle.remove()


def _made(layer: Any, inputs: int, outputs: int) -> nn.Module:
    """The layer, from a name, a class or a function."""
    if isinstance(layer, str):
        if ":" not in layer:
            raise ValueError(f"layer {layer!r} is not of the form module:Class, as in torch_geometric.nn:GATv2Conv")
        layer = addressed("layer", layer, "torch_geometric.nn:GATv2Conv")
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
