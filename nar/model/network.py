"""The network: encoders and decoders of every algorithm, and the processor that they share.

Shapes: F features.
"""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from nar.model.coders.decoder import STANDARD, Decoder, DecoderOptions
from nar.model.coders.encoder import Encoder
from nar.model.coders.sparse.encoder import check as check_sparse
from nar.model.objectives.auxiliary import AuxiliaryHeads
from nar.model.options.reconstruction import Reconstruction, ReconstructionOptions
from nar.model.termination import HALTING, Halting
from nar.nn.layers import module_key
from nar.nn.processor import Processor
from nar.traces.spec import Spec, Stage

HINT_MODES = ("encoded_decoded", "decoded_only", "none")
LAYOUTS = ("dense", "sparse")
HINT_FEEDBACK = ("soft", "hard", "hard_on_eval", "straight_through")


class Network(nn.Module):
    """The modules of a Reasoner (reasoner.py) and the settings of its rollouts."""

    def __init__(
        self,
        specs: Mapping[str, Spec],
        processor: Processor,
        *,
        hint_mode: str = "encoded_decoded",
        hint_feedback: str = "soft",
        encoder_init: str = "xavier_on_scalars",
        relations: str = "none",
        trails: bool = False,
        message_passing_steps: int = 1,
        output_step: bool = False,
        dropout: float = 0.0,
        decoder: DecoderOptions = STANDARD,
        halting: str = "none",
        reconstruction: ReconstructionOptions | None = None,
        history: bool = True,
        auxiliary: Sequence[str] = (),
        auxiliary_weight: float = 1.0,
        layout: str = "dense",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("hint_mode", hint_mode, HINT_MODES),
            ("hint_feedback", hint_feedback, HINT_FEEDBACK),
            ("halting", halting, HALTING),
            ("layout", layout, LAYOUTS),
        ):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")
        if message_passing_steps < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"need message_passing_steps >= 1 and 0 <= dropout < 1, got {message_passing_steps}, {dropout}"
            )
        fed, predicted = hint_mode == "encoded_decoded", hint_mode != "none"
        decoder.check(specs, (Stage.OUTPUT, Stage.HINT) if predicted else (Stage.OUTPUT,))
        if reconstruction is not None and not fed:
            raise ValueError(f"reconstruction needs hints that are fed in: hint_mode encoded_decoded, not {hint_mode}")
        if not history and not fed:
            raise ValueError(
                f"without history only hints pass on what a step did, and hint_mode {hint_mode} feeds none"
            )
        features, node_width = processor.features, processor.features + processor.node_readout
        self.processor = processor
        self.hint_mode, self.hint_feedback = hint_mode, hint_feedback
        self.message_passing_steps, self.dropout = message_passing_steps, dropout
        self.specs, self.halting, self.history, self.output_step = dict(specs), halting, history, output_step
        self.encoders, self.decoders, self.halting_heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name, spec in specs.items():
            self.encoders[module_key(name)] = Encoder(
                spec,
                features,
                encode_hints=fed,
                init=encoder_init,
                relations=relations,
                trails=trails,
                like_with_like=decoder.like_with_like,
                edge_pointer_repair=decoder.edge_pointer_repair,
                layout=layout,
            )
            self.decoders[module_key(name)] = Decoder(
                spec, features, node_width=node_width, edge_width=features + processor.edge_readout, options=decoder,
                decode_hints=predicted, hints_are_fed=fed,
            )  # fmt: skip
        if halting != "none":
            for name in specs:
                self.halting_heads[module_key(name)] = Halting(features, node_width)
        self.reconstruction = Reconstruction(specs, reconstruction, decoder) if reconstruction is not None else None
        widths = {"features": features, "node_width": node_width, "edge_width": features + processor.edge_readout}
        self.auxiliary = AuxiliaryHeads(specs, auxiliary, auxiliary_weight, **widths) if auxiliary else None
        self.layout = layout
        if layout == "sparse":
            self.check_sparse()

    def check_sparse(self) -> None:
        """ValueError where the network cannot run in the sparse layout, whose weights are those of the dense one."""
        for name in self.specs:
            check_sparse(name, *self.coders(name), self.processor)
        ponders = self.halting_heads if self.halting == "ponder" else None
        unfit = {"reconstruction": self.reconstruction, "auxiliary": self.auxiliary, "halting ponder": ponders}
        for name, used in unfit.items():
            if used is not None:
                raise ValueError(f"{name} is for the dense layout alone; leave it away in the sparse one")

    def coders(self, algorithm: str) -> tuple[Encoder, Decoder]:
        """The encoders and decoders of one algorithm."""
        key = module_key(algorithm)
        return self.encoders[key], self.decoders[key]  # type: ignore[return-value]

    def halting_head(self, algorithm: str) -> Halting | None:
        """What says that a graph is done, if it was trained to."""
        return self.halting_heads[module_key(algorithm)] if self.halting != "none" else None  # type: ignore[return-value]

    def load_parameters(self, state: Mapping[str, Tensor], source: object) -> None:
        """Like load_state_dict; ValueError names the `source` of parameters that do not fit."""
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(
                f"the parameters in {source} do not fit {', '.join(self.specs)} with {type(self.processor).__name__}: "
                "has the processor's code changed since the run was made?"
            ) from error

    def parameters_of(self, algorithm: str) -> Iterator[nn.Parameter]:
        """The parameters that this algorithm uses: those of the processors and of its own encoders and decoders."""
        names = [name for name in self.specs if name != algorithm]
        others = [part for name in names for part in (*self.coders(name), self.halting_head(name)) if part is not None]
        if self.reconstruction is not None:
            others += [self.reconstruction.decoder(name) for name in names]
        if self.auxiliary is not None:
            others += [self.auxiliary.decoder(name) for name in names]
        foreign = {id(p) for part in others for p in part.parameters()}
        return (p for p in self.parameters() if id(p) not in foreign)

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())
