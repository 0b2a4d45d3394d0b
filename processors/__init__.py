"""The table of processors: one line each, `name: (module and class, options)`.

Your own needs no line: pass `my_module:MyProcessor` wherever a name is asked for, or a layer of PyTorch Geometric,
`torch_geometric.nn:SAGEConv`.
"""

import ast
import inspect
from collections.abc import Sequence
from typing import Any

if __name__ != "nar.processors":
    raise ImportError(
        f"this folder is imported as nar.processors, not as {__name__}; install nar with: pip install -e ."
    )

from nar.lookup import address_of, addressed, suggest
from nar.nn.processor import Processor

LAYERS = "nar.processors.message_passing:MessagePassing"  # any layer of PyTorch Geometric as a processor
TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "deepsets": ("nar.processors.deepsets:DeepSets", {}),
    "gat": ("nar.processors.gat:GAT", {}),
    "gat_full": ("nar.processors.gat:GAT", {"complete": True}),
    "gatv2": ("nar.processors.gatv2:GATv2", {}),
    "gatv2_full": ("nar.processors.gatv2:GATv2", {"complete": True}),
    "mpnn": ("nar.processors.mpnn:MPNN", {}),
    "gmpnn": ("nar.processors.mpnn:MPNN", {"gated": True}),
    "triplet_mpnn": ("nar.processors.mpnn:MPNN", {"triplets": True}),
    "triplet_gmpnn": ("nar.processors.mpnn:MPNN", {"triplets": True, "gated": True}),
    "pgn": ("nar.processors.pgn:PGN", {}),
    "gpgn": ("nar.processors.pgn:PGN", {"gated": True}),
    "triplet_pgn": ("nar.processors.pgn:PGN", {"triplets": True}),
    "triplet_gpgn": ("nar.processors.pgn:PGN", {"triplets": True, "gated": True}),
    "pgn_mask": ("nar.processors.pgn:PGN", {"mask_decoders": True}),
    "gpgn_mask": ("nar.processors.pgn:PGN", {"mask_decoders": True, "gated": True}),
    "triplet_pgn_mask": ("nar.processors.pgn:PGN", {"mask_decoders": True, "triplets": True}),
    "triplet_gpgn_mask": ("nar.processors.pgn:PGN", {"mask_decoders": True, "triplets": True, "gated": True}),
    "memnet": ("nar.processors.memnet:MemNet", {}),
    "memnet_masked": ("nar.processors.memnet:MemNet", {}),
    "memnet_full": ("nar.processors.memnet:MemNet", {"complete": True}),
    "gin": ("nar.processors.gin:GIN", {}),
    "gin_full": ("nar.processors.gin:GIN", {"complete": True}),
    "pna": ("nar.processors.pna:PNA", {}),
    "pna_full": ("nar.processors.pna:PNA", {"complete": True}),
    "forgetnet": ("nar.processors.forgetnet:ForgetNet", {}),
    "g_forgetnet": ("nar.processors.forgetnet:GForgetNet", {}),
    "transformer": ("nar.processors.transformer:Transformer", {}),
    "transformer_masked": ("nar.processors.transformer:Transformer", {"masked": True}),
    "relational": ("nar.processors.relational:Relational", {}),
    "relational_transformer": ("nar.processors.relational_transformer:RelationalTransformer", {}),
    "pivotal_attention": ("nar.processors.pivotal_attention:PivotalAttention", {}),
    "discrete": ("nar.processors.discrete:Discrete", {}),
    "finite_state": ("nar.processors.finite_state:FiniteState", {}),
    "pyg_gatv2": (LAYERS, {"layer": "torch_geometric.nn:GATv2Conv"}),
    "pyg_gine": (LAYERS, {"layer": "torch_geometric.nn:GINEConv"}),
    "rnar": ("nar.processors.rnar:RNAR", {}),
    "rnar_gru": ("nar.processors.rnar:RNAR", {"cell": "gru"}),
    "rnar_masked": ("nar.processors.rnar:RNAR", {"masked": True}),
    "lcm": ("nar.processors.lcm:LCM", {}),
    "lcm_masked": ("nar.processors.lcm:LCM", {"masked": True}),
    "v2": ("nar.processors.edge_centric:V2", {}),
    "v3": ("nar.processors.edge_centric:V3", {}),
    "ppgn": ("nar.processors.edge_centric:PPGN", {}),
    "l2_max": ("nar.processors.asynchronous:L2Max", {}),
    "l3_tropical": ("nar.processors.asynchronous:L3Tropical", {}),
}


def names() -> list[str]:
    """The names in the table, sorted."""
    return sorted(TABLE)


def find(name: str) -> tuple[type[Processor], dict[str, Any]]:
    """Class and options behind a name of the table or behind `module:Class`; ValueError says what is wrong with it.

    A layer of PyTorch Geometric, `torch_geometric.nn:SAGEConv`, stands for the processor that is made of it
    (message_passing.py).
    """
    if ":" not in name and name not in TABLE:
        if meant := address_of(name):
            raise ValueError(f"unknown processor {name!r}; did you mean {meant!r}?")
        raise ValueError(suggest("processor", name, names(), "nar list, or my_module:MyProcessor for your own"))
    path, options = TABLE.get(name, (name, {}))
    found = addressed("processor", path, "my_module:MyProcessor")
    if isinstance(found, type) and any(_is_layer(base) for base in found.__mro__):
        return addressed("processor", LAYERS, ""), {**options, "layer": path}
    if not (isinstance(found, type) and issubclass(found, Processor)):
        module_name, class_name = path.split(":", 1)
        raise ValueError(
            f"processor {name!r}: {class_name} in {module_name} is a {type(found).__name__}, not a subclass of "
            "nar.Processor, nor a layer of PyTorch Geometric (torch_geometric.nn:SAGEConv)"
        )
    return found, dict(options)


def _is_layer(kind: type) -> bool:
    return kind.__name__ == "MessagePassing" and kind.__module__.startswith("torch_geometric.nn")


def build(name: str, features: int, **options: Any) -> Processor:
    """A processor of the given hidden size. Options that the class does not take are a ValueError."""
    found, fixed = find(name)
    accepted = accepts(name)
    for option in options:
        if option not in accepted:
            listed = ", ".join(sorted(accepted)) or "none"
            raise ValueError(f"processor {name!r} has no option {option!r}; it has: {listed}")
    return found(features, **(fixed | options))


def accepts(name: str) -> dict[str, Any]:
    """The options that the processor's class takes (those of its base classes too, where it passes them on), with
    their defaults."""
    found, fixed = find(name)
    accepted: dict[str, Any] = {}
    for cls in found.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(cls.__init__).parameters.values()
        accepted |= {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in accepted}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {option: default for option, default in accepted.items() if option not in fixed}


def options_from(name: str, words: Sequence[str]) -> dict[str, Any]:
    """Options of a processor from the command line's `name=value`: values as Python writes them, or words.

    ValueError where a value is not of the kind of the option's default; an unknown option is left to `build`.
    """
    defaults = accepts(name)
    found: dict[str, Any] = {}
    for text in words:
        option, equals, word = text.partition("=")
        if not equals or not option.isidentifier():
            raise ValueError(f"--option takes name=value, got {text!r}")
        if option in found:
            raise ValueError(f"--option {option} is given twice")
        try:
            value = ast.literal_eval(word)
        except (ValueError, SyntaxError):
            value = {"true": True, "false": False, "none": None}.get(word.lower(), word)
        default = defaults.get(option)
        kinds = {bool: (bool,), int: (int,), float: (int, float), tuple: (tuple, list), str: (str,)}.get(type(default))
        if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise ValueError(
                f"--option {option} of {name} takes a {type(default).__name__}, as {default!r}, got {word!r}"
            )
        found[option] = value
    return found
