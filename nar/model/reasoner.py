"""The Reasoner: encoders, one processor, decoders. What it does with a batch is the rollout (rollout.py)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nar.config import Config
from nar.model.batch import Batch, training_spec
from nar.model.decoder import Decoder, chooses_node, compares, has_pointer_head
from nar.model.encoder import Encoder
from nar.model.options.edge_pointers import is_edge_pointer
from nar.model.options.reconstruction import MODES, Reconstruction
from nar.model.rollout import Rollout, roll_out
from nar.model.termination import HALTING, Halting
from nar.nn.processor import Processor
from nar.traces.spec import Spec, Stage

HINT_MODES = ("encoded_decoded", "decoded_only", "none")
HINT_FEEDBACK = ("soft", "hard", "hard_on_eval", "straight_through")


class Reasoner(nn.Module):
    """Encode, process, decode for one or several algorithms that share the processor.

    `specs`: the (transformed) spec of each algorithm by name, see nar.model.batch.training_spec.
    `hint_mode`: encoded_decoded (hints are predicted and fed back), decoded_only (predicted only), none.
    `hint_feedback`: soft, hard, hard_on_eval (soft in training, hard in evaluation), or straight_through (the values of
    hard, the gradients of soft).
    `pointer_head`, `log_n_scale`, `comparison_units`: see decoder.py; `edge_pointer_repair`:
    nar/model/options/edge_pointers.py. `halting`: none, supervised or ponder: a head that says when a graph is done,
    see nar/model/objectives/halting_loss.py. `reconstruction`: none, plain or masked, with a `reconstruction_processor`
    of its own: see nar/model/options/reconstruction.py. ValueError where one of these would have no effect on any of
    the algorithms.
    """

    def __init__(
        self,
        specs: Mapping[str, Spec],
        processor: Processor,
        *,
        hint_mode: str = "encoded_decoded",
        hint_feedback: str = "soft",
        encoder_init: str = "xavier_on_scalars",
        message_passing_steps: int = 1,
        dropout: float = 0.0,
        pointer_head: str = "max",
        log_n_scale: bool = False,
        comparison_units: int = 0,
        edge_pointer_repair: bool = False,
        halting: str = "none",
        reconstruction: str = "none",
        reconstruction_weight: float | None = None,
        reconstruction_mask: float | None = None,
        reconstruction_processor: Processor | None = None,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("hint_mode", hint_mode, HINT_MODES),
            ("hint_feedback", hint_feedback, HINT_FEEDBACK),
            ("reconstruction", reconstruction, MODES),
            ("halting", halting, HALTING),
        ):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")
        if message_passing_steps < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"need message_passing_steps >= 1 and 0 <= dropout < 1, got {message_passing_steps}, {dropout}"
            )
        decoded = [p for s in specs.values() for p in s.values() if p.stage in _decoded(hint_mode)]
        pointers = [p for s in specs.values() for p in s.values() if is_edge_pointer(p)]
        for name, asked, used, missing in (
            (
                "pointer_head",
                pointer_head != "max",
                any(map(has_pointer_head, decoded)),
                "pointers of nodes or pairs",
            ),
            ("log_n_scale", log_n_scale, any(map(chooses_node, decoded)), "outputs or hints that choose a node"),
            ("comparison_units", comparison_units, any(map(compares, decoded)), "outputs or hints of nodes or pairs"),
            ("edge_pointer_repair", edge_pointer_repair, pointers, "edge pointers"),
        ):
            if asked and not used:
                raise ValueError(f"{name} has no effect: {', '.join(specs)} has no {missing}; leave it away")
        if comparison_units < 0:
            raise ValueError(f"comparison_units must be 0 or more, got {comparison_units}")
        if reconstruction == "none":
            for name, value in (("weight", reconstruction_weight), ("mask", reconstruction_mask)):
                if value is not None:
                    raise ValueError(f"reconstruction_{name} {value} has no effect without reconstruction")
        elif hint_mode != "encoded_decoded":
            raise ValueError(f"reconstruction needs hints that are fed in: hint_mode encoded_decoded, not {hint_mode}")
        elif reconstruction_processor is None:
            raise ValueError("reconstruction needs a reconstruction_processor, a second processor of the same kind")
        features = processor.features
        self.processor = processor
        self.hint_mode, self.hint_feedback = hint_mode, hint_feedback
        self.message_passing_steps, self.dropout = message_passing_steps, dropout
        self.specs = dict(specs)
        self.encoders = nn.ModuleDict()
        self.decoders = nn.ModuleDict()
        heads = {"pointer_head": pointer_head, "log_n_scale": log_n_scale, "comparison_units": comparison_units}
        for name, spec in specs.items():
            self.encoders[_key(name)] = Encoder(
                spec,
                features,
                encode_hints=hint_mode == "encoded_decoded",
                init=encoder_init,
                edge_pointer_repair=edge_pointer_repair,
            )
            self.decoders[_key(name)] = Decoder(
                spec,
                features,
                node_width=features + processor.node_readout,
                edge_width=features + processor.edge_readout,
                decode_hints=hint_mode != "none",
                edge_pointer_repair=edge_pointer_repair,
                hints_are_fed=hint_mode == "encoded_decoded",
                **heads,
            )
        self.halting = halting
        self.halting_heads = nn.ModuleDict()
        if halting != "none":
            for name in specs:
                self.halting_heads[_key(name)] = Halting(features, features + processor.node_readout)
        self.reconstruction = None
        if reconstruction_processor is not None:
            if reconstruction == "none":
                raise ValueError("a reconstruction_processor has no effect without reconstruction; leave it away")
            self.reconstruction = Reconstruction(
                specs,
                reconstruction_processor,
                masked=reconstruction == "masked",
                weight=reconstruction_weight,
                mask=reconstruction_mask,
                **heads,
            )

    @classmethod
    def build(
        cls, algorithms: str | Sequence[str], processor: str = "triplet_gmpnn", hidden: int = 128, **options: Any
    ) -> Reasoner:
        """An untrained reasoner from names: `Reasoner.build("bfs", "mpnn", hidden=64)`.

        `options` go to the processor (gated, triplet_features, ...) if its class takes them, else to the Reasoner.
        """
        from nar import datasets, processors

        names = [algorithms] if isinstance(algorithms, str) else list(algorithms)
        accepted = processors.accepts(processor)
        own = {name: value for name, value in options.items() if name in accepted}
        rest = {name: value for name, value in options.items() if name not in accepted}
        known = {p.name for p in inspect.signature(cls.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY}
        if unknown := rest.keys() - known:
            raise ValueError(f"neither processor {processor!r} nor Reasoner has an option {sorted(unknown)[0]!r}")
        specs = {name: training_spec(datasets.get(name)) for name in names}
        first = processors.build(processor, hidden, **own)
        if rest.get("reconstruction", "none") != "none" and "reconstruction_processor" not in rest:
            rest["reconstruction_processor"] = processors.build(processor, hidden, **own)
        return cls(specs, first, **rest)

    def coders(self, algorithm: str) -> tuple[Encoder, Decoder]:
        """The encoders and decoders of one algorithm."""
        return self.encoders[_key(algorithm)], self.decoders[_key(algorithm)]  # type: ignore[return-value]

    def halting_head(self, algorithm: str) -> Halting | None:
        """What says that a graph is done, if it was trained to."""
        return self.halting_heads[_key(algorithm)] if self.halting != "none" else None  # type: ignore[return-value]

    @classmethod
    def from_config(cls, config: Config) -> Reasoner:
        """The untrained reasoner of a run, initialised from its seed.

        Settings that the processor does not have must keep their defaults: ValueError.
        """
        from nar import datasets, processors

        accepted = processors.accepts(config.processor)
        options = {}
        for name in ("layer_norm", "triplet_features", "heads"):
            value = getattr(config, name)
            if name in accepted:
                options[name] = value
            elif value != getattr(Config, name):
                flag = f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
                raise ValueError(f"processor {config.processor!r} has no {name}; leave {flag} away")
        options |= _options(config)
        torch.manual_seed(config.seed)
        first = processors.build(config.processor, config.hidden, **options)
        second = None
        if config.reconstruction != "none":
            second = processors.build(config.processor, config.hidden, **options)
        return cls(
            {name: training_spec(datasets.get(name)) for name in config.algo},
            first,
            hint_mode=config.hint_mode,
            hint_feedback=config.hint_feedback,
            encoder_init=config.encoder_init,
            message_passing_steps=config.message_passing_steps,
            dropout=config.dropout,
            pointer_head=config.pointer_head,
            log_n_scale=config.log_n_scale,
            comparison_units=config.comparison_units,
            edge_pointer_repair=config.edge_pointer_repair,
            halting=config.halting,
            reconstruction=config.reconstruction,
            reconstruction_weight=config.reconstruction_weight,
            reconstruction_mask=config.reconstruction_mask,
            reconstruction_processor=second,
        )

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
        foreign = {id(p) for part in others for p in part.parameters()}
        return (p for p in self.parameters() if id(p) not in foreign)

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def forward(
        self,
        batch: Batch,
        *,
        teacher_forcing: float = 0.0,
        generator: torch.Generator | None = None,
        keep_states: bool = False,
        gumbel: bool = True,
        decide_hints: bool = False,
        progress: float = 1.0,
        recompute: bool = False,
        termination: str = "oracle",
        limit: int | None = None,
    ) -> Rollout:
        """Roll out a batch.

        `teacher_forcing`: probability of true hints per sample and step, used in training mode only; `generator` makes
        its draws and the Gumbel noise repeatable; `gumbel=False` switches the noise of training off. `decide_hints`:
        keep predicted hints in compact form (indices, 0 or 1) instead of logits, for edge pointers N times smaller.
        `progress`: share of the training that is done, for processors that follow a schedule. `recompute`: keep the
        states between steps for the backward pass and compute the rest again, which needs much less memory.
        `termination`: oracle (every sample takes the steps of its trace), fixed_point or learned (samples find their
        end, after `limit` steps at the latest; see termination.py); ValueError where the reasoner cannot.
        """
        return roll_out(
            self,
            batch,
            teacher_forcing=teacher_forcing,
            generator=generator,
            keep_states=keep_states,
            gumbel=gumbel,
            decide_hints=decide_hints,
            progress=progress,
            recompute=recompute,
            termination=termination,
            limit=limit,
        )


def _decoded(hint_mode: str) -> tuple[Stage, ...]:
    return (Stage.OUTPUT,) if hint_mode == "none" else (Stage.OUTPUT, Stage.HINT)


def _key(algorithm: str) -> str:
    """An algorithm's name as a module's: PyTorch allows no dots there, addresses of users' own algorithms have some."""
    return algorithm.replace(".", "/")


def _options(config: Config) -> dict[str, Any]:
    """--option name=value ... as keyword arguments of the processor."""
    from nar import processors

    found = processors.options_from(config.processor, config.option)
    for name in ("layer_norm", "triplet_features", "heads"):
        if name in found:
            raise ValueError(f"--option {name}: this one has a flag of its own, --{name.replace('_', '-')}")
    return found
