"""What must hold of a processor: the checks behind `nar check` and behind the tests over the table of processors.

Every check is a function of a `Trial` (how the processor is made, and inputs for it) that returns in a few words what
holds, raises Broken with the reason where something does not, or Skipped. `run` turns that into Findings. All but the
dtype check compute in float64, so that equal means equal up to rounding.

Shapes: B graphs, N nodes.
"""

from __future__ import annotations

import dataclasses
import os
import re
import traceback
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nar import datasets, dry_run
from nar.batch import collate, draw, training_spec
from nar.loss import total_loss
from nar.neighbourhood import Dense
from nar.process import Processor, Readout, rows
from nar.reasoner import Reasoner
from nar.trial import FEATURES, B, Inputs, N, Pieces, Plain, Trial, gap, inputs, pairs, parts, steps

EXACT = 1e-9  # of float64 results that two routes must share, relative to their size
NOTICED = 1e-6  # a dependence is one from here on
COST_FROM = (64, 512)  # nodes from which the work is counted; the second where lower terms hide the first's answer
COST_REAL = 16  # the same for processors that have to be computed to be counted
COST_OFF = 0.35  # by how much the counted exponent may miss the declared one
IDLE = 1e-12  # gradients below are rounding


class Broken(Exception):
    """A check's reason for not holding."""


class Skipped(Exception):
    """A check's reason for not having been made."""


@dataclasses.dataclass
class Finding:
    """One line of the result."""

    check: str
    holds: bool | None  # None: skipped
    text: str

    def __str__(self) -> str:
        return f"  {({True: 'ok', False: 'FAIL', None: 'skip'})[self.holds]:<5} {self.check:<12} {self.text}"


CHECKS: dict[str, Callable[[Trial], str]] = {}


def _check(function: Callable[[Trial], str]) -> Callable[[Trial], str]:
    CHECKS[function.__name__.strip("_")] = function
    return function


def run(trial: Trial, leave_out: Collection[str] = ()) -> Iterator[Finding]:
    """Every check in turn. Where the processor cannot take a step at all, the rest is not tried."""
    for name in CHECKS:
        if name in leave_out:
            continue
        finding = one(trial, name)
        yield finding
        if name in FIRST and finding.holds is False:
            return


def one(trial: Trial, name: str) -> Finding:
    """One check; an exception out of the processor is a reason, too."""
    torch.manual_seed(0)
    try:
        return Finding(name, True, CHECKS[name](trial))
    except Skipped as reason:
        return Finding(name, None, str(reason))
    except Broken as reason:
        return Finding(name, False, str(reason))
    except Exception as error:  # whatever the processor's own code raises
        if os.environ.get("NAR_DEBUG"):
            traceback.print_exc()
        return Finding(name, False, explained(error))


def explained(error: Exception) -> str:
    """An exception in one line, with the last place in code that is neither nar's engine nor a library's."""
    first = " ".join((str(error).strip() or "no message").split("\n")[0].split())
    own = os.path.dirname(__file__)
    library = os.path.dirname(os.path.dirname(torch.__file__))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((own + os.sep, library + os.sep, "<"))
    ]
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first[:200]}{place}"


def is_declared(processor: Processor, fact: str) -> bool:
    """Whether the class or the instance says so itself, rather than Processor by default."""
    classes = type(processor).__mro__
    return fact in vars(processor) or any(fact in vars(c) for c in classes[: classes.index(Processor)])


# The checks, in the order in which they are reported


@_check
def shapes(trial: Trial) -> str:
    """States and readouts have the promised form, whatever the number of graphs and nodes."""
    processor = trial.processor()
    features, sizes = processor.features, ((1, 1), (B, 2), (2, N))
    for graphs, nodes in sizes:
        x = inputs(graphs=graphs, nodes=nodes)
        state = processor.initial_state(graphs, nodes, x.nodes)
        for when in ("initial_state", "forward"):
            if when == "forward":
                state = processor(x.step(processor.uses_adjacency), state)
            _proper_state(state, when, graphs, nodes, features)
        with torch.no_grad():
            readout = steps(processor, [x, x]).readout
        if not isinstance(readout, Readout):
            raise Broken(f"readout returns a {type(readout).__name__}; a nar.Readout is required")
        for name, tensor, width, axes in (
            ("nodes", readout.nodes, processor.node_readout, (graphs, nodes)),
            ("edges", readout.edges, processor.edge_readout, (graphs, nodes, nodes)),
        ):
            found = None if tensor is None else tuple(tensor.shape)
            wanted = (*axes, width) if name == "nodes" or width else None
            if found != wanted:
                raise Broken(f"Readout.{name} is {found}; self.{name[:-1]}_readout = {width} promises {wanted}")
    edges = f", edge readout {processor.edge_readout}" if processor.edge_readout else ""
    return f"1 to {N} nodes, 1 to {B} graphs; node readout {processor.node_readout} wide at {features} features{edges}"


def _proper_state(state: Any, when: str, graphs: int, nodes: int, features: int) -> None:
    if type(state) not in (tuple, Tensor):
        raise Broken(f"{when} returns a {type(state).__name__}; a tensor or a plain tuple of tensors is required")
    hidden = state[0] if isinstance(state, tuple) and state else state
    if not isinstance(hidden, Tensor) or hidden.shape[:2] != (graphs, nodes) or hidden.dim() != 3:
        found = tuple(hidden.shape) if isinstance(hidden, Tensor) else type(hidden).__name__
        raise Broken(f"{when}: the hidden state is {found}; ({graphs}, {nodes}, features) is required")
    for part in parts(state):
        if not isinstance(part, Tensor) or part.dim() == 0 or part.shape[0] != graphs:
            found = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise Broken(f"{when}: a part of the state is {found}; its first axis must be the {graphs} graphs")


@_check
def parameters(trial: Trial) -> str:
    """It is built at several sizes, everything that learns is registered, and its parameters are all of it."""
    processor = trial.make(FEATURES)
    if getattr(processor, "features", None) != FEATURES:
        raise Broken("features is not the hidden size it was made with: call super().__init__(features)")
    for path, module in processor.named_modules():
        if type(module).__module__.startswith("torch."):
            continue
        for key, value in vars(module).items():
            if key.startswith("_"):
                continue
            where = f"{path}.{key}" if path else key
            held = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
            if any(isinstance(v, (nn.Module, nn.Parameter)) for v in held):
                raise Broken(
                    f"{where} is a {type(value).__name__} whose contents are not trained: use nn.ModuleList, "
                    "nn.ModuleDict or nn.ParameterList"
                )
            if isinstance(value, Tensor) or any(isinstance(v, Tensor) for v in held):
                raise Broken(f"{where} is a plain tensor, which is neither saved nor moved to a GPU: register_buffer")
    frozen = [name for name, parameter in processor.named_parameters() if not parameter.requires_grad]
    first, second = trial.processor(), trial.processor()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1.0)
    torch.manual_seed(11)
    third = trial.make(FEATURES).double().eval()
    with torch.no_grad():
        third.load_state_dict(first.state_dict())
        difference = gap(steps(third, [inputs()]).everything(), steps(first, [inputs()]).everything())
    if difference > EXACT:
        raise Broken(
            f"a second one with the parameters of the first differs by {difference:.2g}: something random is neither a "
            "parameter nor a buffer, so a saved model would not be the same when loaded"
        )
    count = sum(parameter.numel() for parameter in trial.make(128).parameters())
    return f"{count:,} at hidden size 128" + (f"; not trained: {', '.join(frozen)}" if frozen else "")


@_check
def dtype(trial: Trial) -> str:
    """Results have the inputs' dtype."""
    for wanted in (torch.float32, torch.float64):
        x = inputs(dtype=wanted)
        result = steps(trial.processor(wanted), [x, x])
        for tensor in result.everything():
            if tensor.is_floating_point() and tensor.dtype != wanted:
                raise Broken(f"a result is {tensor.dtype} where inputs and parameters are {wanted}")
    return "float32 and float64 in, the same out"


@_check
def device(trial: Trial) -> str:
    """Nothing is left on the CPU when the rest is moved; where there is a GPU it is used."""
    processor = trial.processor(torch.float32)
    waits = ""
    try:
        dry_run.work(processor, N)
    except dry_run.WAITS as error:
        if type(error).__name__ == "DynamicOutputShapeException":
            waits = "; some shapes depend on the data, which makes a GPU wait"
        else:
            waits = "; it reads numbers back from the device, which makes a GPU wait"
    except AssertionError as error:
        if "FakeTensor" not in str(error):
            raise
        raise Broken("a tensor that is no parameter and no buffer would stay on the CPU: register_buffer") from None
    except RuntimeError as error:
        if ".numpy()" in str(error):
            raise Broken("numpy is used in forward, which no GPU can do") from None
        if "device" not in str(error):
            raise
        raise Broken(
            f"tensors are made on the CPU whatever the device of the inputs (device=state.device): {explained(error)}"
        ) from None
    if not torch.cuda.is_available():
        return f"follows its inputs (tried without a GPU){waits}"
    x = inputs(dtype=torch.float32)
    on_cpu = steps(processor, [x]).everything()
    there = Inputs(*(t.cuda() for t in dataclasses.astuple(x)))
    result = steps(processor.cuda(), [there])
    if any(t.device.type != "cuda" for t in result.everything()):
        raise Broken("a result is not on the GPU that holds the inputs")
    if (difference := gap([t.cpu() for t in result.everything()], on_cpu)) > 1e-2:
        raise Broken(f"GPU and CPU differ by {difference:.2g}")
    return f"follows its inputs, to a GPU too{waits}"


@_check
@torch.no_grad()
def permutation(trial: Trial) -> str:
    """Renaming the nodes renames the result, or does not, as declared."""
    processor, order = trial.processor(), torch.tensor([2, 4, 0, 3, 5, 1])
    each = [inputs(1), inputs(2)]
    first = steps(processor, each).seen()
    renamed = steps(processor, [x.renamed(order) for x in each]).seen()
    expected = [t[:, order] if i < 2 else pairs(t, order) for i, t in enumerate(first)]
    difference = gap(renamed, expected)
    holds = difference < EXACT
    if holds != processor.permutation_equivariant:
        said = "declared" if is_declared(processor, "permutation_equivariant") else "assumed, as nothing is declared"
        if holds:
            raise Broken(
                "renaming the nodes renames the result, but permutation_equivariant = False is declared: leave it away"
            )
        raise Broken(
            f"renaming the nodes changes the result by {difference:.2g}, but permutation_equivariant = True is {said}; "
            "if that is meant, declare permutation_equivariant = False"
        )
    return "renaming the nodes renames the result" if holds else "depends on the order of the nodes, as declared"


@_check
@torch.no_grad()
def batch(trial: Trial) -> str:
    """Graphs of a batch do not see each other, neither in evaluation nor in training."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    modes = [("evaluation", False)]
    processor.train()
    twice = [steps(processor, each).everything() for _ in range(2)]
    if gap(*twice) == 0:  # no dropout
        modes.append(("training", True))
    for mode, train in modes:
        processor = trial.processor().train(train)
        together = steps(processor, each)
        for b in range(B):
            one_graph = slice(b, b + 1)
            alone = steps(processor, [x.of(one_graph) for x in each])
            expected = [t[one_graph] for t in together.everything()]
            if (difference := gap(alone.everything(), expected)) > EXACT:
                raise Broken(f"in {mode}, a graph's result changes by {difference:.2g} with what else is in the batch")
    return "a graph alone gives what it gives in a batch"


@_check
@torch.no_grad()
def finished(trial: Trial) -> str:
    """Graphs that have ended are cut off the end of the state between steps; the others must not notice."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    full = steps(processor, each)
    kept = slice(0, 2)
    begun = steps(processor, each[:1]).state
    after = steps(processor, [each[1].of(kept)], rows(begun, kept))
    if (difference := gap(after.everything(), [t[kept] for t in full.everything()])) > EXACT:
        raise Broken(f"when finished graphs leave the batch, the others change by {difference:.2g}")
    algorithm, rng = datasets.get("bellman_ford"), np.random.RandomState(4)
    traces = [algorithm.run(**algorithm.sample(rng, 8, p=(0.25,))) for _ in range(8)]
    torch.manual_seed(1)
    reasoner = Reasoner({algorithm.name: training_spec(algorithm)}, trial.processor()).double().eval()
    together = collate(traces, algorithm)
    found = list(reasoner(together).outputs.values())
    for b, trace in enumerate(together.order):
        alone = list(reasoner(collate([traces[trace]], algorithm)).outputs.values())
        if (difference := gap(alone, [t[b : b + 1] for t in found])) > EXACT:
            raise Broken(f"rolled out in a batch, a graph's output changes by {difference:.2g}")
    lengths = len(set(together.lengths))
    return f"leave between steps unnoticed; a batch of {lengths} lengths rolls out like each graph alone"


@_check
@torch.no_grad()
def history(trial: Trial) -> str:
    """The next state, and what decoders see of it, depend on the last one, or do not, as declared."""
    processor, now = trial.processor(), inputs(3)
    found = [steps(processor, [inputs(seed), inputs(seed + 10), now]) for seed in (1, 2)]
    difference = gap(found[0].everything(), found[1].everything())
    if (difference > NOTICED) == processor.uses_history:
        return "the next state depends on the last one" if processor.uses_history else "the past is hidden, as declared"
    if processor.uses_history:
        raise Broken(
            "the result does not depend on the last state; if that is meant, declare uses_history = False "
            "(a gate or residual that is shut would look the same)"
        )
    if gap([found[0].hidden], [found[1].hidden]) <= NOTICED:
        raise Broken(
            "uses_history = False is declared, but the readout shows the past to the decoders: override readout "
            "to leave `before` out"
        )
    raise Broken(f"uses_history = False is declared, but the next state changes by {difference:.2g} with the last one")


@_check
@torch.no_grad()
def adjacency(trial: Trial) -> str:
    """Messages follow the graph's edges and nothing else does, or everyone listens to everyone, as declared."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    masked = steps(processor, each, follow=True)
    free = steps(processor, each, follow=False)
    reacts = gap(masked.seen(), free.seen()) > NOTICED
    if not processor.uses_adjacency:
        if reacts and is_declared(processor, "uses_adjacency"):
            raise Broken(
                "uses_adjacency = False is declared, but a masked hood changes the result: use hood.complete()"
            )
        return "messages between all pairs" + (
            "; they would follow the graph's edges with uses_adjacency = True" if reacts else ""
        )
    if not reacts:
        raise Broken("uses_adjacency = True is declared, but the result is the same on the complete graph")
    begun, now = steps(processor, each[:1]).state, each[1]
    plain = steps(processor, [now], begun).hidden
    off = ~now.adjacency
    changed = dataclasses.replace(now, channels=torch.where(off.unsqueeze(-1), now.channels + 1.0, now.channels))
    if (difference := gap([steps(processor, [changed], begun).hidden], [plain])) > EXACT:
        raise Broken(f"features of pairs that are no edges change the hidden state by {difference:.2g}")
    graph, sender, receiver = off.nonzero()[0].tolist()
    moved = dataclasses.replace(now, nodes=now.nodes.clone())
    moved.nodes[graph, sender] += 1.0
    after = steps(processor, [moved], begun).hidden[graph]
    if (difference := gap([after[receiver]], [plain[graph, receiver]])) > EXACT:
        raise Broken(f"a node changes by {difference:.2g} with one that is not its neighbour, within a step")
    return "messages follow the graph's edges, as declared"


@_check
@torch.no_grad()
def padding(trial: Trial) -> str:
    """Nodes without links are as good as absent."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    if not processor.uses_adjacency:
        raise Skipped("everyone listens to everyone: graphs of a batch have one size, and no node is padding")
    extra = 2
    padded = []
    for i, x in enumerate(each):
        larger = inputs(seed=20 + i, nodes=N + extra)
        larger.adjacency[:] = torch.eye(N + extra, dtype=torch.bool)
        larger.nodes[:, :N], larger.channels[:, :N, :N], larger.adjacency[:, :N, :N] = x.nodes, x.channels, x.adjacency
        padded.append(dataclasses.replace(larger, graph=x.graph))
    difference = gap([steps(processor, padded).hidden[:, :N]], [steps(processor, each).hidden])
    if difference > EXACT:
        raise Broken(f"two more nodes without links change the hidden state of the others by {difference:.2g}")
    return "nodes without links change nothing for the others"


@_check
def gradients(trial: Trial) -> str:
    """Learning an algorithm moves every parameter."""
    algorithm = datasets.get("dag_shortest_paths")  # graph features, pointers, masks, a mask_one and categories
    graphs = draw(algorithm, 6, 4, seed=(1, 2), random_pos=True, p=(0.5,))
    largest: dict[str, float] = {}
    trained: dict[str, nn.Parameter] = {}
    for seed in range(3):  # a unit may be dead by chance
        torch.manual_seed(seed)
        reasoner = Reasoner({algorithm.name: training_spec(algorithm)}, trial.make(FEATURES)).double().train()
        loss = total_loss(graphs, reasoner(graphs))
        if not torch.isfinite(loss):
            raise Broken(f"the training loss is {loss.item()}")
        loss.backward()
        for name, parameter in reasoner.processor.named_parameters():
            if parameter.requires_grad:
                size = -1.0 if parameter.grad is None else parameter.grad.abs().max().item()
                if size != size:
                    raise Broken(f"the gradient of {name} is NaN")
                largest[name], trained[name] = max(size, largest.get(name, -1.0)), parameter
    if not largest:
        return "there are no parameters"
    idle = [name for name, size in largest.items() if size < IDLE]
    # a bias before a softmax adds the same to all of its logits: connected, but rightly without effect
    excused = [name for name in idle if largest[name] >= 0 and trained[name].dim() == 1]
    if lost := [name for name in idle if name not in excused]:
        raise Broken(f"no gradient reaches {', '.join(lost[:4])}{' ...' if len(lost) > 4 else ''}")
    note = f"; no effect (before a softmax?): {', '.join(excused)}" if excused else ""
    return f"reach all {len(largest)} parameters{note}"


@_check
def finite(trial: Trial) -> str:
    """Values and gradients stay numbers in float32, in all corners and over many steps."""
    cases = {
        "a single node": inputs(nodes=1, dtype=torch.float32),
        "inputs of zeros": inputs(dtype=torch.float32).map(torch.zeros_like),
        "equal nodes": inputs(dtype=torch.float32).map(torch.ones_like),
        "inputs around 100": inputs(dtype=torch.float32).map(lambda t: 100 * t),
        "64 nodes": inputs(graphs=1, nodes=64, dtype=torch.float32),
    }
    for name, x in cases.items():
        processor = trial.processor(torch.float32)
        leaves = x.map(lambda t: t.clone().requires_grad_())
        result = steps(processor, [leaves] * 8)
        numbers = [t for t in result.everything() if t.is_floating_point()]
        if not all(torch.isfinite(t).all() for t in numbers):
            raise Broken(f"after 8 steps on {name}, a result is not a finite number")
        value = sum(t.tanh().sum() for t in numbers)
        if isinstance(value, Tensor) and value.requires_grad:
            value.backward()
        learned = [leaves.nodes, leaves.channels, leaves.graph, *processor.parameters()]
        if not all(t.grad is None or torch.isfinite(t.grad).all() for t in learned):
            raise Broken(f"after 8 steps on {name}, a gradient is not a finite number")
    return f"after 8 steps of {', '.join(cases)}"


@_check
@torch.no_grad()
def determinism(trial: Trial) -> str:
    """Same inputs, same result, bit for bit; nothing is remembered outside the state, nothing overwritten."""
    processor = trial.processor()
    x = inputs(1)
    state = steps(processor, [inputs(2)]).state
    given = [x.nodes, x.channels, x.graph, x.adjacency, *parts(state)]
    copies = [t.clone() for t in given]
    first = steps(processor, [x], state).everything()
    first = [t.clone() for t in first]
    if any(not torch.equal(a, b) for a, b in zip(given, copies, strict=True)):
        raise Broken("forward or readout writes into its inputs or into the last state")
    if gap(steps(processor, [x], state).everything(), first) > 0:
        raise Broken("the same inputs give another result the second time, in evaluation mode")
    steps(processor, [inputs(5, graphs=2, nodes=3)] * 2)
    if gap(steps(processor, [x], state).everything(), first) > 0:
        raise Broken("results depend on what was computed before: what lasts between steps belongs into the state")
    return "same inputs, same result; inputs and states are not overwritten"


@_check
def pieces(trial: Trial) -> str:
    """Fast, plain and chunked evaluation agree, and so do the gradients of the first two."""
    processor, each = trial.processor(), [inputs(1), inputs(2)]
    found = []
    for layout in (Dense, Plain):
        leaves = [x.map(lambda t: t.clone().requires_grad_()) for x in each]
        result = steps(processor, leaves, layout=layout).everything()
        learned = [t for x in leaves for t in (x.nodes, x.channels, x.graph)] + [*processor.parameters()]
        value = sum(t.sin().sum() for t in result if t.is_floating_point())
        slopes = torch.autograd.grad(value, learned, allow_unused=True)  # type: ignore[arg-type]
        found.append((result, [torch.zeros_like(t) if s is None else s for t, s in zip(learned, slopes, strict=True)]))
    if (difference := max(gap(found[0][i], found[1][i]) for i in (0, 1))) > EXACT:
        raise Broken(f"values or gradients of the fast and of the plain layout differ by {difference:.2g}")
    with torch.no_grad():
        for name, layout in (("without gradients", Dense), ("one receiver at a time", Pieces)):
            if (difference := gap(steps(processor, each, layout=layout).everything(), found[1][0])) > EXACT:
                raise Broken(f"evaluated {name}, the result differs by {difference:.2g}")
    return "fast, plain and chunked evaluation agree"


def order(cost: str) -> float | None:
    """The exponent of a declared cost: N, N^2, N log N, N^2 log N ...; None where it is not of that form."""
    found = re.match(r"(?:O\()?N(?:\^(\d+(?:\.\d+)?))?( log N)?\b", cost)
    if found is None:
        return None
    return float(found[1] or 1) + (0.2 if found[2] else 0.0)  # about what a logarithm adds at these sizes


@_check
def cost(trial: Trial) -> str:
    """The work of a step grows with the number of nodes as declared."""
    processor = trial.processor(torch.float32)
    declared, measured, nodes = order(processor.cost), 0.0, 0
    try:
        for nodes in COST_FROM:
            measured = dry_run.exponent(processor, nodes)
            if declared is None or abs(measured - declared) <= COST_OFF:
                break
    except (*dry_run.WAITS, AssertionError, RuntimeError):  # it needs numbers: smaller graphs, really computed
        nodes = COST_REAL
        measured = dry_run.exponent(processor, nodes, fake=False)
    text = f"operations grow like N^{measured:.2f} from {nodes} to {4 * nodes} nodes, declared {processor.cost}"
    if declared is None:
        return f"{text} (not compared: N, N^2, N log N ... are)"
    if abs(measured - declared) > COST_OFF:
        said = "" if is_declared(processor, "cost") else " by default"
        whole = max(round(measured), 1)
        raise Broken(f'{text}{said}: declare cost = "N{f"^{whole}" if whole > 1 else ""}"')
    return text


@_check
@torch.no_grad()
def compile(trial: Trial) -> str:
    """torch.compile gives the same numbers, if it can compile it (nothing in nar depends on that)."""
    processor, x = trial.processor(), inputs(1)

    def forward(state: Any, *given: Tensor) -> Any:
        return processor(Inputs(*given).step(processor.uses_adjacency), state)

    state = steps(processor, [inputs(2)]).state
    expected = parts(steps(processor, [x], state).state)
    whole = "as one graph"
    try:
        torch._dynamo.reset()
        found = torch.compile(forward, backend="aot_eager", fullgraph=True)(state, *dataclasses.astuple(x))
    except Exception:
        whole = "in several pieces"
        try:
            torch._dynamo.reset()
            found = torch.compile(forward, backend="aot_eager")(state, *dataclasses.astuple(x))
        except Exception as error:
            raise Skipped(f"torch.compile cannot take it: {explained(error)}") from None
    if (difference := gap(parts(found), expected)) > 1e-6:
        raise Broken(f"compiled, the result differs by {difference:.2g}")
    return f"torch.compile traces it {whole}, with the same result"


FIRST = ("shapes",)  # without these the others have nothing to go by
