"""What decoders see: the encoded inputs and hints of a step, and what the processor shows of its state after it.

Outputs are decoded once per sample, after its last step: until then the rollout keeps every finished sample's view.

Shapes: B graphs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nar.model.batch import Batch
from nar.model.decoder import Decoder, node_readout
from nar.model.encoder import Edges
from nar.model.postprocess import Noise
from nar.nn.layers import Factored
from nar.nn.processor import Readout
from nar.traces.spec import Stage


@dataclasses.dataclass
class View:
    """Everything that decoders look at: what was encoded, and after `after` what the processor shows of its state."""

    nodes: Tensor | Factored
    edges: Edges
    edge_states: Tensor | None
    graph: Tensor
    adjacency: Tensor | None
    held: dict[str, Tensor]  # the current hints of Decoder.reads, densely

    def after(self, readout: Readout) -> View:
        return dataclasses.replace(self, nodes=node_readout(self.nodes, readout), edge_states=readout.edges)

    def rows(self, which: slice) -> View:
        if which.start == 0 and which.stop == len(self.graph):
            return self
        return View.of(lambda part: part[which], self)

    def clone(self) -> View:
        return View.of(torch.clone, self)

    @staticmethod
    def of(make: Callable[..., Tensor], *views: View) -> View:
        """The view whose every part is made of the parts of `views`; all have the same parts."""

        def part(*found: Any) -> Any:
            return None if found[0] is None else make(*found)

        nodes = views[0].nodes
        if isinstance(nodes, Factored):
            nodes = dataclasses.replace(nodes, channels=part(*(v.nodes.channels for v in views)))  # type: ignore[union-attr]
        else:
            nodes = part(*(v.nodes for v in views))
        return View(
            nodes,
            Edges(part(*(v.edges.channels_BNNK for v in views)), views[0].edges.map),
            part(*(v.edge_states for v in views)),
            part(*(v.graph for v in views)),
            part(*(v.adjacency for v in views)),
            {name: part(*(v.held[name] for v in views)) for name in views[0].held},
        )

    def decode(self, decoder: Decoder, stage: Stage, noise: Noise) -> dict[str, Tensor]:
        return decoder.decode(
            stage,
            self.nodes,
            self.edges,
            self.edge_states,
            self.graph,
            adjacency=self.adjacency,
            noise=noise,
            held=self.held,
        )


class FinishedViews:
    """What decoders see of every sample after its last step, of samples that leave the batch then."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.views: list[View] = []

    def add(self, view: View, s: int) -> None:
        live = self.batch.live(s)
        following = self.batch.live(s + 1) if s + 1 < self.batch.steps else 0
        if following < live:
            self.views.append(view.rows(slice(following, live)).clone())  # what others are rows of can go

    def joined(self) -> View:
        """All samples as one batch, in the batch's own order."""
        views = self.views[::-1]
        return views[0] if len(views) == 1 else View.of(lambda *parts: torch.cat(parts), *views)


class LatestViews:
    """The same where all samples stay: a sample's view is replaced as long as it runs."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.view: View | None = None

    def add(self, view: View, s: int) -> None:
        if self.view is None:
            self.view = view
            return
        running_B = self.batch.running(s, view.graph.device)
        self.view = View.of(
            lambda new, old: torch.where(running_B.view(-1, *[1] * (new.dim() - 1)), new, old), view, self.view
        )

    def joined(self) -> View:
        assert self.view is not None  # everyone takes the first step
        return self.view
