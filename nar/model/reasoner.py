"""The Reasoner: encoders, one processor, decoders. What it does with a batch is the rollout (rollout_loop.py)."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from nar.config import Config
from nar.model.batch import Batch, training_spec
from nar.model.coders.decoder import DecoderOptions
from nar.model.network import Network
from nar.model.options.reconstruction import MODES, ReconstructionOptions
from nar.model.rollout import DEFAULTS, Rollout, RolloutOptions
from nar.model.rollout_loop import roll_out
from nar.nn.processor import Processor
from nar.system import limits
from nar.traces.spec import Spec

# settings by the names that they have in Config: of the decoders, of reconstruction, and of the Network itself
DECODER = tuple(field.name for field in dataclasses.fields(DecoderOptions))
RECONSTRUCTION = ("reconstruction", "reconstruction_weight", "reconstruction_mask")
PLAIN = (
    "hint_mode", "hint_feedback", "encoder_init", "relations", "trails", "message_passing_steps", "dropout", "halting",
    "history", "output_step", "auxiliary", "auxiliary_weight", "layout",
)  # fmt: skip
SETTINGS = (*PLAIN, *DECODER, *RECONSTRUCTION)
WIDE = 2048  # widths up to which nobody need ask whether the parameters fit into memory
OF_PROCESSOR = ("layer_norm", "triplet_features", "heads")  # settings of Config that some processors have


class Reasoner(Network):
    """Encode, process, decode for one or several algorithms that share the processor.

    `specs`: the (transformed) spec of each algorithm by name, see nar.model.batch.training_spec.
    `hint_mode`: encoded_decoded (hints are predicted and fed back), decoded_only (predicted only), none.
    `hint_feedback`: soft, hard, hard_on_eval (soft in training, hard in evaluation), or straight_through (the values of
    hard, the gradients of soft).
    `decoder`: pointer_head, log_n_scale, comparison_units and edge_pointer_repair, see decoder.py. `halting`: none,
    supervised or ponder: a head that says when a graph is done, see nar/model/objectives/losses.py.
    `history`: the processor's state passes from step to step; without, each step begins with the initial one and knows
    of those before what their hints say. `relations`: order relations of numbers are encoded beside them or instead of
    them, with `trails` also where marks of nodes have been in the steps before, with `like_with_like` of
    numbers that measure the same. `output_step`: outputs are read off the last hints by one more step. `layout`: dense,
    or sparse, of a reasoner that runs along the edges of graphs (docs/sparse.md). `auxiliary`: heads of the processor
    learn simpler tasks of the inputs besides, see nar/model/objectives/auxiliary.py. `reconstruction`: with a second
    processor, see nar/model/options/reconstruction.py. ValueError where one of these would have no effect on any of the
    algorithms; those that a recipe sets for all (edge_pointer_repair, relations, candidates, selection) do then
    nothing. `build` and `from_settings` take all of these by name.
    """

    made_by: dict[str, Any] | None = None  # the settings of Config that make this network, where it was made by names

    @classmethod
    def build(
        cls, algorithms: str | Sequence[str], processor: str = "triplet_gmpnn", hidden: int = 128, **options: Any
    ) -> Self:
        """An untrained reasoner from names: `Reasoner.build("bfs", "mpnn", hidden=64)`.

        `options` go to the processor (gated, triplet_features, ...) if its class takes them, else to the Reasoner.
        """
        from nar import datasets, processors

        names = [algorithms] if isinstance(algorithms, str) else list(algorithms)
        accepted = processors.accepts(processor)
        own = {name: value for name, value in options.items() if name in accepted}
        rest = {name: value for name, value in options.items() if name not in accepted}
        if unknown := rest.keys() - set(SETTINGS):
            raise ValueError(f"neither processor {processor!r} nor Reasoner has an option {sorted(unknown)[0]!r}")
        specs = {name: training_spec(datasets.get(name), rest.get("layout", "dense")) for name in names}
        made = cls.from_settings(specs, lambda: processors.build(processor, hidden, **own), **rest)
        given = {name: own.get(name, accepted[name]) for name in OF_PROCESSOR if name in accepted}
        option = tuple(f"{name}={value!r}" for name, value in own.items() if name not in given)
        made.made_by = {
            "algo": tuple(names),
            "processor": processor,
            "hidden": hidden,
            "option": option,
            **given,
            **rest,
        }
        return made

    @classmethod
    def from_settings(cls, specs: Mapping[str, Spec], make: Callable[[], Processor], **settings: Any) -> Self:
        """From settings by their names in Config; `make` gives a processor, of which reconstruction needs a second."""
        if unknown := settings.keys() - set(SETTINGS):
            raise ValueError(f"a Reasoner has no option {sorted(unknown)[0]!r}")
        mode = settings.get("reconstruction", "none")
        given = {name: settings.get(f"reconstruction_{name}") for name in ("weight", "mask")}
        if mode not in MODES:
            raise ValueError(f"unknown reconstruction {mode!r}; choose one of {', '.join(MODES)}")
        first, reconstruction = make(), None
        if mode != "none":
            reconstruction = ReconstructionOptions(make(), mode == "masked", **given)
        elif unused := [name for name, value in given.items() if value is not None]:
            name = unused[0]
            raise ValueError(f"reconstruction_{name} {given[name]} has no effect without reconstruction")
        decoder = DecoderOptions(**{name: settings[name] for name in DECODER if name in settings})
        plain = {name: settings[name] for name in PLAIN if name in settings}
        return cls(specs, first, decoder=decoder, reconstruction=reconstruction, **plain)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The untrained reasoner of a run, initialised from its seed.

        Settings that the processor does not have must keep their defaults: ValueError.
        """
        from nar import datasets, processors

        accepted = processors.accepts(config.processor)
        options = processors.options_from(config.processor, config.option)
        for name in OF_PROCESSOR:
            value, flag = getattr(config, name), name.replace("_", "-")
            if name in options:
                raise ValueError(f"--option {name}: this one has a flag of its own, --{flag}")
            if name in accepted:
                options[name] = value
            elif value != getattr(Config, name):
                flag = f"no-{flag}" if value is False else flag
                raise ValueError(f"processor {config.processor!r} has no {name}; leave --{flag} away")

        def make() -> Self:
            torch.manual_seed(config.seed)
            return cls.from_settings(
                {name: training_spec(datasets.get(name), config.layout) for name in config.algo},
                lambda: processors.build(config.processor, config.hidden, **options),
                **{name: getattr(config, name) for name in SETTINGS} | {"history": config.keeps_history},
            )

        widths = {name: getattr(config, name) for name in ("hidden", "triplet_features", "heads", "comparison_units")}
        if max(widths.values()) > WIDE:
            _check_room(make, widths)
        made = make()
        made.made_by = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        return made

    def save(self, path: str | Path) -> Path:
        """Write what `nar.load(path)` takes: a checkpoint, if `path` ends in .pt, else a folder with one, `best.pt`.

        ValueError where the reasoner was not made by names and settings (`build`, `from_config`, `nar.load`), which are
        all that a checkpoint knows of a network, and where one made from these would be another one.
        """
        return importlib.import_module("nar.model.checkpoint").save_reasoner(self, Path(path))  # which knows this class

    def forward(self, batch: Batch, options: RolloutOptions = DEFAULTS, **changes: Any) -> Rollout:
        """Roll out a batch; `changes` to the options by name: `reasoner(batch, keep_states=True)`.

        ValueError where the reasoner cannot end a rollout as it is asked to.
        """
        return roll_out(self, batch, dataclasses.replace(options, **changes))


def _check_room(make: Callable[[], Reasoner], widths: Mapping[str, int]) -> None:
    """ValueError where the parameters of such a reasoner do not fit into the memory that there is."""
    try:
        with torch.device("meta"):  # shapes without numbers
            count = sum(parameter.numel() for parameter in make().parameters())
    except (RuntimeError, OverflowError, MemoryError, TypeError):  # too large even to be counted, or not made that way
        count = max(widths.values()) ** 2
    if (needed := 4 * count) > (free := limits.free_memory()):
        name = max(widths, key=lambda name: widths[name])
        raise ValueError(
            f"--{name.replace('_', '-')} {widths[name]:,}: the parameters alone would need {needed / 2**30:,.0f} GB of "
            f"memory, and {free / 2**30:,.1f} GB are free: choose less"
        )
