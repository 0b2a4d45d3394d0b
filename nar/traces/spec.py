"""The data model: what an algorithm reads, what it writes down at every step, and what it returns.

A *probe* is one named quantity of an algorithm. It has three attributes, as in CLRS (Velickovic et al. 2022):

- stage: `input` (given once), `hint` (recorded after every step), `output` (asked for at the end);
- location: `node`, `edge` (every ordered pair of nodes) or `graph`;
- type: what the numbers mean, and hence how they are encoded, decoded, scored and fed back.

A *spec* is the ordered set of an algorithm's probes. Inside nar every probe is stored in its *compact* form: a
class or a node is one integer, never a one-hot row. `shape` below is the part after the leading axes, for n nodes:

    type                  node        edge           graph    numbers
    scalar                [n]         [n, n]         []       float
    mask                  [n]         [n, n]         []       0 or 1; -1 = ignored in loss and score
    mask_one              []          [n]            -        index of the one marked node (edge: one per row)
    categorical           [n]         [n, n]         []       class 0 ... classes-1; -1 = ignored
    pointer               [n]         [n, n]         []       index of a node
    permutation_pointer   [n]         -              -        index of a node; together they form a permutation

`should_be_permutation` is a node pointer that the CLRS protocol turns into a permutation pointer plus the mask_one of
its first node before training (nar/model/batch.py); `dense_shape` gives the one-hot form in which dm-clrs stores a
probe.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

IGNORED = -1  # in masks and categoricals: not scored, not trained on


class Stage(StrEnum):
    INPUT = "input"
    HINT = "hint"
    OUTPUT = "output"


class Location(StrEnum):
    NODE = "node"
    EDGE = "edge"
    GRAPH = "graph"


class Type(StrEnum):
    SCALAR = "scalar"
    MASK = "mask"
    MASK_ONE = "mask_one"
    CATEGORICAL = "categorical"
    POINTER = "pointer"
    PERMUTATION_POINTER = "permutation_pointer"
    SHOULD_BE_PERMUTATION = "should_be_permutation"


POINTERS = frozenset({Type.POINTER, Type.PERMUTATION_POINTER, Type.SHOULD_BE_PERMUTATION})

# Leading zeros stand for n, the number of nodes; see the table above.
_RANK = {Location.NODE: 1, Location.EDGE: 2, Location.GRAPH: 0}


@dataclasses.dataclass(frozen=True)
class Probe:
    """Stage, location and type of one probe; `classes` counts the classes of a categorical, 0 for other types."""

    stage: Stage
    location: Location
    type: Type
    classes: int = 0

    def __post_init__(self) -> None:
        for field, kind in (("stage", Stage), ("location", Location), ("type", Type)):
            object.__setattr__(self, field, kind(getattr(self, field)))
        if self.type is Type.CATEGORICAL and self.classes < 1:
            given = f'("{self.stage}", "{self.location}", "categorical", 3)'
            raise ValueError(f"a categorical needs its number of classes, as in {given}; got {self.classes}")
        if self.type is not Type.CATEGORICAL and self.classes:
            raise ValueError(f"only a categorical has classes; got {self.classes} of a {self.type}")
        if self.type is Type.MASK_ONE and self.location is Location.GRAPH:
            raise ValueError("a mask_one marks one node among all: its location is node or edge, not graph")
        if self.type in (Type.PERMUTATION_POINTER, Type.SHOULD_BE_PERMUTATION) and self.location is not Location.NODE:
            raise ValueError(f"permutation pointers live on nodes, got location {self.location}")

    def shape(self, nodes: int) -> tuple[int, ...]:
        """Shape of the compact form for one sample and one moment."""
        rank = _RANK[self.location] - (self.type is Type.MASK_ONE)
        return (nodes,) * rank

    def dense_shape(self, nodes: int) -> tuple[int, ...]:
        """Shape of dm-clrs's form for one sample and one moment (pointers as indices, classes as one-hot rows)."""
        width = {Type.MASK_ONE: nodes, Type.PERMUTATION_POINTER: nodes, Type.CATEGORICAL: self.classes}
        return (*self.shape(nodes), width[self.type]) if self.type in width else self.shape(nodes)

    @property
    def is_index(self) -> bool:
        """Are its numbers indices of nodes?"""
        return self.type in POINTERS or self.type is Type.MASK_ONE

    def limits(self, nodes: int) -> tuple[float, float]:
        """The smallest and the largest number that the compact form may hold."""
        if self.type is Type.SCALAR:
            return -math.inf, math.inf
        if self.is_index:
            return 0, nodes - 1
        return IGNORED, self.classes - 1 if self.type is Type.CATEGORICAL else 1


class Spec(Mapping[str, Probe]):
    """The probes of an algorithm by name, in the order in which dm-clrs lists them; immutable and hashable.

    Example: `Spec({"key": ("input", "node", "scalar"), "min": ("output", "node", "mask_one")})`; a categorical has the
    number of its classes behind it, `("hint", "node", "categorical", 3)`. `indicators`: numbers that are no quantities,
    but only say where something is, as A does of a graph without weights; specs that differ in nothing else are equal.
    """

    def __init__(self, probes: Mapping[str, Probe | Sequence], indicators: Iterable[str] = ()) -> None:
        found = {}
        for name, probe in probes.items():
            try:
                found[name] = probe if isinstance(probe, Probe) else Probe(*probe)
            except (ValueError, TypeError) as error:
                raise ValueError(f"probe {name}: {error}") from error
        self._probes = MappingProxyType(found)
        self.indicators = frozenset(indicators)

    def __getitem__(self, name: str) -> Probe:
        return self._probes[name]

    def __iter__(self):
        return iter(self._probes)

    def __len__(self) -> int:
        return len(self._probes)

    def __hash__(self) -> int:
        return hash(tuple(self._probes.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and list(self._probes.items()) == list(other._probes.items())

    def __reduce__(self):
        return Spec, (dict(self._probes), self.indicators)

    def __repr__(self) -> str:
        rows = ", ".join(f"{name}: {p.stage} {p.location} {p.type}" for name, p in self.items())
        return f"Spec({rows})"

    def to_json(self) -> dict[str, list]:
        """Every probe's four attributes, as `Spec` takes them back."""
        return {name: [p.stage, p.location, p.type, p.classes] for name, p in self.items()}

    @property
    def quantities(self) -> dict[str, Probe]:
        """The probes without indicators."""
        return {name: p for name, p in self.items() if name not in self.indicators}

    def stage(self, stage: str) -> dict[str, Probe]:
        """The probes of one stage, by name."""
        return {name: p for name, p in self.items() if p.stage == stage}

    @property
    def inputs(self) -> dict[str, Probe]:
        return self.stage(Stage.INPUT)

    @property
    def hints(self) -> dict[str, Probe]:
        return self.stage(Stage.HINT)

    @property
    def outputs(self) -> dict[str, Probe]:
        return self.stage(Stage.OUTPUT)
