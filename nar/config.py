"""Every setting once: name, type, default, meaning, unit. The command line, run directories and checkpoints use it.

The defaults are the protocol of Ibarz et al. (LoG 2022) as run by dm-clrs; docs/protocol.md lists what is repaired.
Long because every setting is declared here, with what may be said against its value, and nowhere else.
"""

import dataclasses
import importlib
from pathlib import Path
from typing import Any, Literal, Self, get_args

from nar.lookup import closest, suggest
from nar.system.shapes import misfit, types_of

RecipeName = Literal["protocol", "step"]  # what they set: nar/recipes.py

# Settings that do not change what is learned: a run may be resumed with other values of these.
FREE = frozenset(
    "steps patience eval_sizes eval_samples device threads workers memory stack compile cuda_graphs seeds out resume "
    "checkpoint_every tracker recipe".split()
)

# A number beyond these is a slip of the keyboard, and would be worked on for days or end in a crash elsewhere.
MOST = {"val_samples": 10**6, "eval_samples": 10**6, "threads": 4096, "workers": 4096}
OF_MOMENTS = ("moments", "last_moments", "own_moments", "event_balance")  # settings of --supervision moments alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one training run."""

    algo: tuple[str, ...] = ("bellman_ford",)
    """Algorithm to learn: a name shown by `nar list`, or my_module:algorithm for your own. Several share one processor,
    with encoders and decoders of their own (a generalist)."""
    processor: str = "triplet_gmpnn"
    """Processor network: a name shown by `nar list`, or my_module:MyProcessor for your own class."""
    seed: int = 42
    """Seed of initialisation, training data and noise. Validation and test data do not depend on it."""
    seeds: tuple[int, ...] = ()
    """Train these seeds together, instead of --seed: each is a run with a directory and results of its own, equal to
    what it would be alone."""
    recipe: RecipeName = "protocol"
    """The named set of defaults that these settings began with; whatever else is given comes before it. On the command
    line step where none is named, or protocol where another processor than step's is."""

    steps: int = 10_000
    """Training steps, one batch of every algorithm each."""
    batch_size: int = 32
    """Graphs in a training batch."""
    optimizer: str = "adam"
    """Adam (AdamW with --weight-decay), a class of torch.optim such as SGD or RAdam, or my_module:MyOptimizer."""
    learning_rate: float = 1e-3
    """Step size of the optimiser."""
    learning_rate_schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """Keep the step size; let it fall to 0 until the last step, along a cosine; or let it rise to --learning-rate over
    the first tenth of the steps and fall to next to nothing until the last, along cosines."""
    weight_decay: float = 0.0
    """Share of every parameter that is taken away at each step, times the step size (AdamW)."""
    grad_clip: float = 1.0
    """Largest Euclidean norm of the whole gradient; 0 = no limit."""
    average: float = 0.0
    """Decay of a moving average of the parameters, such as 0.999, that is validated, kept and tested; 0 = none."""
    precision: Literal["float32", "bf16"] = "float32"
    """Type of the processor's products in training: bf16 is autocast to bfloat16."""
    train_sizes: tuple[int, ...] | None = None
    """Sizes of the training graphs; one batch of each in turn. None = 4 7 11 13 16; string matching: 20."""
    train_families: tuple[str, ...] = ()
    """Families of graphs, as --families of nar evaluate takes them: every other batch is of one of them, in turn, where
    the algorithm draws graphs of a family."""
    train_weights: tuple[str, ...] = ()
    """Laws of weights, as --weights of nar evaluate takes them ("ties": many are equal). Where the algorithm takes
    weights, graphs of those other batches have its own and these in turn, once through the families with each."""
    traces: Path | None = None
    """Learn from the traces in this folder of .npz archives, instead of drawn ones; sizes are those that are there."""
    random_pos: bool = True
    """Give nodes sorted random positions in training and validation instead of i/n."""

    val_size: int | None = None
    """Nodes of the validation graphs, on which the best checkpoint is chosen. None = the largest training size."""
    val_samples: int = 0
    """Validation graphs; 0 = 64, or 256 where each graph has only one output to score."""
    val_every: int = 50
    """Training steps between validations."""
    patience: int = 0
    """Stop early after so many validations in a row without a better one; 0 = never."""
    checkpoint_every: int = 500
    """Training steps between checkpoints from which --resume can continue."""

    eval_sizes: tuple[int, ...] | None = None
    """Sizes of the test graphs after training; 64 is the canonical CLRS-30 test set. None = 16 32 64 128 256, on a CPU
    as far as that takes minutes; string matching: 20 40 80 160 320, of which 80 is canonical."""
    eval_samples: int = 0
    """Test graphs of each size; 0 = as many as CLRS-30 has: 32, and up to size 64 more where a graph has one output."""

    hidden: int = 128
    """Width of node, edge and graph features."""
    layer_norm: bool = True
    """Normalise the processor's result (LayerNorm)."""
    triplet_features: int = 8
    """Width of triplet messages, for processors that have them."""
    heads: int = 1
    """Attention heads, for processors that have them."""
    option: tuple[str, ...] = ()
    """Further options of the processor, as name=value; `nar list PROCESSOR` shows them."""
    layout: Literal["dense", "sparse"] = "dense"
    """All pairs of nodes, or the graph's edges alone, for large graphs: trained, chosen and tested on sparse ones, of
    family sparse_er unless asked otherwise (docs/sparse.md)."""
    message_passing_steps: int = 1
    """Processor passes per step of the algorithm."""
    dropout: float = 0.0
    """Probability of dropping an entry of the hidden state while training."""
    encoder_init: Literal["xavier_on_scalars", "default"] = "xavier_on_scalars"
    """Initial scale of the encoders: scalar hints by 1/sqrt(hidden), or all by 1/sqrt(fan-in)."""

    relations: Literal["none", "beside", "instead"] = "none"
    """Encode exact order relations of numbers (x_i < x_j, ...; nar list ALGORITHM) beside them, or instead of them."""
    trails: bool = False
    """With relations: encode also where every mark of a node has been in the steps before."""
    like_with_like: bool = False
    """With relations: compare positions with positions alone, and edges without weights with nothing."""
    output_step: bool = False
    """Read the outputs by one more step, off the last hints, instead of predicting them together with these."""
    candidates: bool = False
    """Predict hints that are numbers by a choice among exact ones: others of the step, their sums, constants."""
    selection: bool = False
    """Let exact numbers settle which of several eligible nodes a pointer, mask or number is taken from."""

    init_processor: Path | None = None
    """Start with the processor of this run (a directory, or a checkpoint file) instead of a random one."""
    freeze: Literal["nothing", "processor"] = "nothing"
    """Leave the parameters of the processor as they are at the start."""

    hint_mode: Literal["encoded_decoded", "decoded_only", "none"] = "encoded_decoded"
    """Hints are predicted and fed back, predicted only (as additional losses), or not used."""
    hint_feedback: Literal["soft", "hard", "hard_on_eval", "straight_through"] = "soft"
    """Feed predicted hints back as probabilities with gradients, as decisions without, or so in evaluation only;
    straight_through: as decisions, with the gradients of probabilities."""
    teacher_forcing: float = 0.0
    """Probability, per sample and step of training, of feeding the true hints instead of the predicted ones."""

    supervision: Literal["rollout", "moments"] = "rollout"
    """Learn from whole rollouts, or from single steps: at moments of the traces, true hints go in and those of the next
    moment are the target. A step then costs the same however long traces are."""
    moments: int = 4
    """Moments of each trace in a batch, all different; of shorter traces all. For --supervision moments."""
    last_moments: float = 0.3
    """Least probability that a trace's last moment is among them: only there outputs are learned."""
    own_moments: float = 0.0
    """Share of the moments that are reached from the one before by the reasoner's own decisions instead of the true
    hints; both steps are learned."""
    event_balance: float = 0.0
    """How much rarer kinds of step are preferred, from 0 (all moments alike) to 1 (all kinds alike). The kind of a step
    is which hints it changes."""
    change_weight: float = 1.0
    """How many times an entry of a hint counts in the loss that a step changes, or that the network would change."""
    change_balance: float = 0.0
    """And at least so many times that the entries that change count together this many times as much as all of the
    hint; 0 = no such least number."""
    history: bool | None = None
    """Pass the processor's state on from step to step, or forget it and pass on hints alone. None = passed on, but not
    with --supervision moments."""

    halting: Literal["none", "supervised", "ponder"] = "none"
    """Train a head that says when a graph is done, from the traces' ends or as in PonderNet; tests are then made with
    this learned end as well as with the true number of steps."""

    pointer_head: Literal["max", "additive"] = "max"
    """Score of a pointer: w max(a, b) as in CLRS, or w tanh(a + b) as in pointer networks."""
    log_n_scale: bool = False
    """Multiply the logits of pointers and mask_ones by a learned number times log n, to keep them peaked as n grows."""
    comparison_units: int = 0
    """Learned comparisons (x more than y, x the same as y) that outputs and hints of nodes and pairs are given."""
    edge_pointer_repair: bool = False
    """Pairs look up what their edge pointers point to, and triplets score them; without edge pointers, no effect."""
    reconstruction: Literal["none", "plain", "masked"] = "none"
    """A second processor enriches the encoded state and must reconstruct its hints, of which masked hides a part."""
    reconstruction_weight: float | None = None
    """Weight of what reconstruction misses in the loss. None = 0.1, masked: 1; 0 = the second processor alone."""
    reconstruction_mask: float | None = None
    """Probability of hiding an entry in masked reconstruction. None = 0.3."""

    auxiliary: tuple[str, ...] = ()
    """Task hinting, simpler tasks learned besides: successor, minimum, rank, degree, nearest, my_module:my_task."""
    auxiliary_weight: float = 1.0
    """Weight of the loss of every auxiliary task."""

    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU if there is one."""
    threads: int = 0
    """CPU cores to use, in training by as many processes that share each batch; 0 = all, in training four at most."""
    workers: int | None = None
    """Processes that draw training batches ahead of time; 0 = drawn between steps. What is drawn is the same. None = 0
    on a CPU, and a few with a GPU, which would else wait for them."""
    memory: Literal["auto", "fast", "small"] = "auto"
    """What training keeps for the backward pass: everything (fast), or the states between steps, of which the rest is
    computed again (small: one more forward pass); auto: everything if there is room."""
    stack: Literal["auto", "always", "never"] = "auto"
    """Compute --seeds as one, with stacked parameters, or one after the other; auto: as one on a GPU. On a CPU that
    takes longer, as no graph can leave a batch before the others."""
    compile: bool = False
    """Compile the processor with torch.compile: minutes at the start, for long runs on a GPU."""
    cuda_graphs: Literal["auto", "off"] = "auto"
    """On a GPU, record the kernels of a training step once for each shape of batch and replay them."""
    tracker: tuple[str, ...] = ()
    """Also send metrics to these trackers, each given as my_module:MyTracker; TensorBoard needs no asking."""
    out: Path | None = None
    """Run directory; by default runs/ALGO-PROCESSOR-seedSEED, with what differs from the recipe's defaults named before
    the seed. With --seeds: the folder of their directories."""
    resume: bool = False
    """Continue the run in the run directory from its last checkpoint; starts it where there is none."""

    def __post_init__(self) -> None:
        if isinstance(self.algo, str):  # Config(algo="bfs") means ("bfs",)
            object.__setattr__(self, "algo", (self.algo,))
        for name, kind in types_of(Config).items():
            value = getattr(self, name)
            if name != "recipe" and (wrong := misfit(value, kind, f"--{name.replace('_', '-')}")):
                raise ValueError(wrong)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            elif value is not None and kind == Path | None:
                object.__setattr__(self, name, Path(value).expanduser())
        self._check("algo", 0 < len(self.algo) == len(set(self.algo)), "one algorithm or several different ones")
        self._check_recipe()
        at_least_one = "batch_size hidden triplet_features heads message_passing_steps val_size val_every moments "
        for name in (at_least_one + "checkpoint_every").split():
            self._check(name, getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
        for name in "workers seed steps grad_clip val_samples eval_samples threads comparison_units patience".split():
            self._check(name, getattr(self, name) is None or getattr(self, name) >= 0, "0 or more")
        for name, most in MOST.items():
            self._check(name, (getattr(self, name) or 0) <= most, f"at most {most:,}")
        self._check("seed", self.seed < 2**32, "below 2^32")
        distinct = len(set(self.seeds)) == len(self.seeds) and all(0 <= s < 2**32 for s in self.seeds)
        self._check("seeds", distinct, "different numbers from 0 to 2^32 - 1")
        self._check("learning_rate", 0 < self.learning_rate < float("inf"), "a positive number")
        for name in ("change_weight", "auxiliary_weight"):
            self._check(name, 0 < getattr(self, name) < float("inf"), "a positive number")
        self._check("auxiliary", len(set(self.auxiliary)) == len(self.auxiliary), "different tasks")
        used = self.auxiliary or self.auxiliary_weight == Config.auxiliary_weight
        self._check("auxiliary_weight", bool(used), "left away without --auxiliary: it would have no effect")
        for name in ("dropout", "average"):
            self._check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("weight_decay", "change_balance"):
            self._check(name, 0 <= getattr(self, name) < float("inf"), "0 or more")
        for name in "teacher_forcing last_moments own_moments event_balance".split():
            self._check(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        if self.hint_mode != "encoded_decoded":
            for name in ("teacher_forcing", "hint_feedback", "reconstruction", "output_step", "candidates"):
                unused = getattr(self, name) == getattr(Config, name)
                self._check(name, unused, f"left away with --hint-mode {self.hint_mode}, which feeds no hints back")
            kept = self.history is not False
            self._check("history", kept, f"left away with --hint-mode {self.hint_mode}: nothing would be passed on")
        self._check_supervision()
        used = self.relations != "none" or self.recipe != "protocol"  # a recipe may set it for whoever has relations
        for name in ("trails", "like_with_like"):
            self._check(name, used or not getattr(self, name), "left away with --relations none")
        for name in ("train_sizes", "eval_sizes"):
            self._check(name, len(set(getattr(self, name) or ())) == len(getattr(self, name) or ()), "different sizes")
        self._check("train_sizes", self.train_sizes != (), "one size or more")
        self._check("seed", not self.seeds or self.seed == Config.seed, "left away with --seeds, which names them all")
        begun = self.init_processor or self.freeze == "nothing"
        self._check("freeze", begun, "nothing without --init-processor: a random one would never learn")
        self._check("traces", self.traces is None or self.layout == "dense", "left away with --layout sparse")

    def _check_supervision(self) -> None:
        if self.supervision == "rollout":
            late = self.output_step and self.halting == "ponder"
            self._check("halting", not late, "none or supervised with --output-step, which alone reads outputs")
            for name in OF_MOMENTS:
                unused = getattr(self, name) == getattr(Config, name) or self.recipe != "protocol"  # which may set it
                self._check(name, unused, "left away without --supervision moments: it would have no effect")
            return
        self._check("layout", self.layout == "dense" or self.own_moments == 0, "dense with --own-moments")
        single = "with --supervision moments, where every step is learned alone"
        for name in ("hint_mode", "teacher_forcing", "reconstruction"):
            self._check(name, getattr(self, name) == getattr(Config, name), f"left away {single}")
        self._check("halting", self.halting != "ponder", f"none or supervised {single}")
        self._check("history", self.history is not True, f"left away {single}")
        hard = self.hint_feedback in ("hard", "hard_on_eval")
        self._check("hint_feedback", hard, f"hard or hard_on_eval {single} and knows decided hints only")
        own = self.own_moments == 0 or self.hint_feedback == "hard"
        self._check("hint_feedback", own, "hard with --own-moments: decisions are fed back in training, too")

    def _check(self, name: str, holds: Any, wanted: str) -> None:
        if not holds:
            raise ValueError(f"--{name.replace('_', '-')} must be {wanted}; got {getattr(self, name)}")

    def _check_recipe(self) -> None:
        """A recipe is a label: alone it would promise settings that are not there."""
        if self.recipe not in get_args(RecipeName):
            raise ValueError(suggest("recipe", self.recipe, get_args(RecipeName), "nar list"))
        chosen = FREE | {"algo", "processor", "seed"}
        names = [field.name for field in dataclasses.fields(Config) if field.name not in chosen]
        if self.recipe != "protocol" and all(getattr(self, name) == getattr(Config, name) for name in names):
            raise ValueError(
                f"recipe {self.recipe!r} with nothing but the protocol's settings: begin with "
                f"nar.recipes.config({self.recipe!r}, ...), on the command line with --recipe {self.recipe}"
            )

    @property
    def run_dir(self) -> Path:
        if self.out is not None:
            return Path(self.out)
        return Path("runs") / importlib.import_module("nar.recipes").run_name(self)  # which makes settings

    @property
    def keeps_history(self) -> bool:
        """Does the processor's state pass from step to step?"""
        return self.supervision == "rollout" if self.history is None else self.history

    @property
    def title(self) -> str:
        """The algorithms in one word."""
        return "+".join(self.algo)

    def of_seeds(self) -> list[Self]:
        """The settings of every single run that `seeds` asks for; without `seeds`, of this one."""
        out = {s: None if self.out is None else Path(self.out) / f"seed{s}" for s in self.seeds}
        return [dataclasses.replace(self, seeds=(), seed=s, out=out[s]) for s in self.seeds] or [self]

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON knows them."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else str(v) if isinstance(v, Path) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: Path | str = "this run") -> Self:
        """The reverse; ValueError names the settings that cannot be used, and their file, the `source`."""
        if unknown := sorted(values.keys() - types_of(Config).keys()):
            likely = closest(unknown[0], types_of(Config).keys() - values.keys())
            words = ", ".join(unknown) + (f" (did you mean {likely!r}?)" if likely else "")
            raise ValueError(f"unknown settings {words}: {source} is of another version of nar, or damaged")
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{source} holds settings that cannot be: {error}") from None

    def differences(self, other: Self) -> list[str]:
        """What keeps `other`'s run from being continued with these settings, as 'hidden 64, not 128'."""
        ours, theirs = self.to_dict(), other.to_dict()
        # the schedule is cut to the number of steps
        free = FREE if self.learning_rate_schedule == "constant" else FREE - {"steps"}
        return [f"{k} {theirs[k]}, not {v}" for k, v in ours.items() if k not in free and theirs[k] != v]
