"""`nar check` finds what is wrong with a processor: one that is right, and one broken in every way that is checked."""

import textwrap

import pytest
import torch
from torch import nn

from nar import processors
from nar.analysis.contract import check, dry_run, fixture
from nar.analysis.contract import cost as check_cost
from nar.analysis.contract.fixture import Fixture
from nar.cli import main as cli
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Processor, Readout


class Right(Processor):
    """Mean of messages from the neighbours, and a memory of its own beside the hidden state."""

    uses_adjacency = True

    def __init__(self, features):
        super().__init__(features)
        self.send = nn.Linear(2 * features, features)
        self.edge = nn.Linear(features, features)
        self.graph = nn.Linear(features, features)
        self.keep = nn.Linear(4 * features, features)

    def initial_state(self, graphs, nodes, like):
        return like.new_zeros(graphs, nodes, self.features), like.new_zeros(graphs, nodes, self.features)

    def forward(self, step, state):
        hidden, total = state
        z = torch.cat([step.nodes, hidden], dim=-1)
        parts = step.hood.senders(self.send(z)) + step.hood.edges(self.edge) + step.hood.graph(self.graph(step.graph))
        pooled = step.hood.reduce(torch.relu(parts), "mean")
        return torch.tanh(self.keep(torch.cat([z, pooled, total], dim=-1))), (total + pooled) / 2


def outcomes(kind, *, compiled=False):
    left_out = () if compiled else ("compile",)
    return {outcome.check: outcome for outcome in check.run(Fixture(kind, kind.__name__), left_out)}


def test_one_that_is_right():
    found = outcomes(Right, compiled=True)
    assert list(found) == list(check.CHECKS)
    assert all(outcome.holds for outcome in found.values()), [str(f) for f in found.values() if not f.holds]
    assert f"{sum(p.numel() for p in Right(128).parameters()):,}" in found["parameters"].text


# Every way of being wrong: the check that must fail, words of its reason, and the class.
WRONG = {}


def wrong(name, words, *others):
    """`others`: checks that may fail for the same reason."""

    def add(kind):
        WRONG[kind.__name__] = (name, words, others, kind)
        return kind

    return add


@wrong("parameters", "nn.ModuleList", "device", "cost")
class ListOfLayers(Right):
    def __init__(self, features):
        super().__init__(features)
        self.more = [nn.Linear(features, features)]


@wrong("parameters", "register_buffer", "device", "cost", "dtype")
class PlainTensor(Right):
    def __init__(self, features):
        super().__init__(features)
        self.scale = torch.ones(features)


@wrong("parameters", "would not be the same when loaded")
class NotSaved(Right):
    def __init__(self, features):
        super().__init__(features)
        self.register_buffer("projection", torch.randn(features), persistent=False)

    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden * self.projection, total


@wrong("shapes", "a list; a tensor or a plain tuple")
class ListState(Right):
    def forward(self, step, state):
        return list(super().forward(step, state))


@wrong("shapes", "first axis must be the 4 graphs")
class NodesFirst(Right):
    def initial_state(self, graphs, nodes, like):
        return like.new_zeros(graphs, nodes, self.features), like.new_zeros(nodes, graphs, self.features)

    def forward(self, step, state):
        hidden, total = super().forward(step, (state[0], state[1].transpose(0, 1)))
        return hidden, total.transpose(0, 1)


@wrong("shapes", "self.node_readout = 32 promises")
class NarrowReadout(Right):
    def readout(self, step, before, after):
        return Readout(after[0])


@wrong("shapes", "edge_readout = 5 promises")
class NoEdges(Right):
    def __init__(self, features):
        super().__init__(features)
        self.edge_readout = 5


@wrong("shapes", "RuntimeError")
class Mistaken(Right):
    def forward(self, step, state):
        return super().forward(step, (state[0][..., :3], state[1]))


@wrong("dtype", "a result is torch.float64 where inputs and parameters are torch.float32")
class AlwaysDouble(Right):
    def readout(self, step, before, after):
        return Readout(super().readout(step, before, after).nodes.double())


@wrong("device", "made on the CPU", "cost")
class MadeOnTheCPU(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden * torch.linspace(1, 2, self.features, dtype=hidden.dtype), total


@wrong("device", "numpy", "cost", "gradients", "pieces", "finite")
class Numpy(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + 0 * torch.from_numpy(hidden.detach().numpy()), total


@wrong("permutation", "permutation_equivariant = True is assumed", "adjacency", "padding")
class Ordered(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden.cumsum(1), total


@wrong("permutation", "permutation_equivariant = False is declared: leave it away")
class NotOrdered(Right):
    permutation_equivariant = False


@wrong("batch", "in evaluation, a graph's result changes by", "finished")
class MeanOverGraphs(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden - hidden.mean(0), total


@wrong("batch", "in training, a graph's result changes by", "gradients")
class BatchNorm(Right):
    def __init__(self, features):
        super().__init__(features)
        self.norm = nn.BatchNorm1d(features)

    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return self.norm(hidden.transpose(1, 2)).transpose(1, 2), total


@wrong("finished", "the others change by", "determinism", "batch", "pieces", "padding", "permutation")
class RemembersItself(Right):
    last = None

    def forward(self, step, state):
        first, self.last = self.last is None or self.last != state[0].shape[0], state[0].shape[0]
        hidden, total = super().forward(step, state)
        return (hidden if first else hidden + 1), total


@wrong("history", "declare uses_history = False")
class Forgets(Right):
    def forward(self, step, state):
        return super().forward(step, tuple(torch.zeros_like(part) for part in state))

    def readout(self, step, before, after):
        return Readout(torch.cat([after[0], after[0]], dim=-1))


@wrong("history", "the readout shows the past")
class ShowsThePast(Forgets):
    uses_history = False

    def readout(self, step, before, after):
        return Right.readout(self, step, before, after)


@wrong("history", "the next state changes by")
class Remembers(Right):
    uses_history = False


@wrong("adjacency", "the result is the same on the complete graph", "padding")
class EveryPair(Right):
    def forward(self, step, state):
        step.hood = step.hood.complete()
        return super().forward(step, state)


@wrong("adjacency", "use hood.complete()")
class NotComplete(Right):
    uses_adjacency = False


@wrong("adjacency", "features of pairs that are no edges", "padding")
class EdgesOfAll(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + step.hood.complete().reduce(step.hood.edges(self.edge), "mean"), total


@wrong("adjacency", "one that is not its neighbour", "padding")
class GraphMean(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + step.nodes.mean(1, keepdim=True), total


@wrong("padding", "two more nodes without links")
class CountsNodes(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden / hidden.shape[1], total


@wrong("gradients", "no gradient reaches idle.weight, idle.bias")
class IdleLayer(Right):
    def __init__(self, features):
        super().__init__(features)
        self.idle = nn.Linear(features, features)


@wrong("gradients", "no gradient reaches")
class Detached(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden.detach() + 0 * self.keep.bias, total


@wrong("finite", "a single node, a result is not a finite number", "shapes", "adjacency", "padding")
class DeviationOfOne(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden - hidden.var(1, keepdim=True), total


@wrong("finite", "a gradient is not a finite number", "adjacency", "padding")
class RootOfZero(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + (state[0] - state[0].mean(1, keepdim=True)).pow(2).sum(1, keepdim=True).sqrt(), total


@wrong("finite", "inputs around 100, a result is not a finite number")
class Grows(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + step.nodes.exp() * 1e-3, total


@wrong(
    "determinism",
    "another result the second time",
    *(name for name in check.CHECKS if name not in ("shapes", "dtype", "device", "cost")),
)
class Noisy(Right):
    def forward(self, step, state):
        hidden, total = super().forward(step, state)
        return hidden + 1e-3 * torch.randn_like(hidden), total


@wrong("determinism", "writes into its inputs", "adjacency", "pieces", "finished")
class InPlace(Right):
    def forward(self, step, state):
        if not torch.is_grad_enabled():
            state[1].mul_(0.5)
        return super().forward(step, state)


@wrong("pieces", "one receiver at a time", "adjacency", "padding")
class LooksAtReceivers(Right):
    def forward(self, step, state):
        z = torch.cat([step.nodes, state[0]], dim=-1)

        def message(parts):
            return torch.relu(parts) - torch.relu(parts).mean(2, keepdim=True)

        graph = self.graph(step.graph)
        pooled = step.hood.pool(self.send(z), torch.zeros_like(state[0]), self.edge, graph, message, "mean")
        return torch.tanh(self.keep(torch.cat([z, pooled, state[1]], dim=-1))), state[1] + pooled


@wrong("cost", 'N^2.00 from 512 to 2048 nodes, declared N: declare cost = "N^2"')
class SaysLinear(Right):
    cost = "N"


@wrong("cost", 'declare cost = "N"', "adjacency", "padding")
class SaysQuadratic(Right):
    uses_adjacency = False

    def forward(self, step, state):
        step.hood = step.hood.alone()
        return super().forward(step, state)


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_found_and_nothing_else(kind):
    name, words, others, made = WRONG[kind]
    found = outcomes(made)
    assert found[name].holds is False and words in found[name].text, str(found[name])
    failed = {outcome.check for outcome in found.values() if outcome.holds is False}
    assert failed <= {name, *others}


def test_facts_that_are_not_declared():
    class Masked(Right):  # what follows the graph's edges only if it says so
        pass

    class AllPairs(Processor):
        forward, initial_state = Right.forward, Right.initial_state
        __init__ = Right.__init__

    def make(features):
        made = Processor.__new__(AllPairs)
        Processor.__init__(made, features)
        for name, width in (("send", 2), ("edge", 1), ("graph", 1), ("keep", 4)):
            setattr(made, name, nn.Linear(width * features, features))
        return made

    outcome = check.run_one(Fixture(make, "AllPairs"), "adjacency")
    assert outcome.holds and "they would follow the graph's edges with uses_adjacency = True" in outcome.text
    assert (
        check.run_one(Fixture(Masked, "Masked"), "adjacency").text == "messages follow the graph's edges, as declared"
    )


def test_biases_before_a_softmax_are_excused_and_named():
    outcome = check.run_one(Fixture(lambda features: processors.build("gatv2", features), "gatv2"), "gradients")
    assert outcome.holds and outcome.text.endswith("no effect (before a softmax?): heads.0.bias")


def test_numbers_read_back_from_the_device():
    class Waits(Right):
        def forward(self, step, state):
            hidden, total = super().forward(step, state)
            return hidden * (1.0 if hidden.sum().item() < 1e9 else 2.0), total

    found = outcomes(Waits)
    assert found["device"].holds and "reads numbers back from the device" in found["device"].text
    assert found["cost"].holds and "from 16 to 64 nodes" in found["cost"].text  # computed, since it cannot be foreseen


# Counting


def test_work_is_counted_by_hand():
    class Product(Processor):
        def __init__(self, features):
            super().__init__(features)
            self.layer = nn.Linear(features, features, bias=False)

        def forward(self, step, state):
            return self.layer(step.nodes)  # N F writes, N F^2 multiply-adds

    n, f = 5, 8
    readout = n * 2 * f
    for fake in (True, False):
        assert dry_run.work(Product(f), n, fake=fake) == n * f + n * f * f + readout


def test_reductions_count_what_they_read_and_views_nothing():
    class Total(Processor):
        def forward(self, step, state):
            return state + step.nodes.sum(1, keepdim=True).expand_as(state)

    n, f = 5, 8
    assert dry_run.work(Total(f), n) == n * f + n * f + 2 * n * f


@pytest.mark.parametrize(("cost", "k"), [("N", 1), ("N^2", 2), ("N^3", 3), ("N log N", 1.2), ("O(N^2 log N)", 2.2)])
def test_declared_costs_are_read(cost, k):
    assert check_cost.order(cost) == pytest.approx(k)
    assert check_cost.order("E") is None


def test_the_copy_that_is_counted_leaves_the_processor_alone():
    made = Right(16)
    before = {name: (id(p), p.clone()) for name, p in made.named_parameters()}
    dry_run.exponent(made, 4)
    for name, parameter in made.named_parameters():
        assert id(parameter) == before[name][0] and parameter.equal(before[name][1])


def test_layouts_of_the_check_keep_their_kind():
    """Unfused stays unfused through reverse, complete and alone; chunks are of one receiver."""
    x = fixture.inputs()
    for layout in (fixture.UnfusedDense, fixture.ChunkedDense):
        hood = x.step(True, layout).hood
        for other in (hood.reverse(), hood.complete(), hood.alone().complete(), hood.reverse().alone().complete()):
            assert type(other) is layout
    assert type(x.step(True).hood) is Dense
    sizes = []
    layer = nn.Linear(16, 16).double()
    hood = x.step(True, fixture.ChunkedDense).hood
    with torch.no_grad():
        hood.pool(x.nodes, x.nodes, layer, x.graph, lambda parts: sizes.append(parts.shape[2]) or parts, "max")
    assert sizes == [1] * fixture.N


# The command


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "checked_module.py").write_text(
        textwrap.dedent(
            """
            import torch
            from torch import nn
            import nar

            class Sound(nar.Processor):
                "Nothing special."

                cost = "N"

                def __init__(self, features, *, heads=2):
                    super().__init__(features)
                    if features % heads:
                        raise ValueError(f"{features} features for {heads} heads")
                    self.keep = nn.Linear(2 * features, features)

                def forward(self, step, state):
                    return torch.relu(self.keep(torch.cat([step.nodes, state], dim=-1)))

            class Unsound(Sound):
                def forward(self, step, state):
                    return super().forward(step, state).cumsum(1)

            class Unfinished(Sound):
                def forward(self, step, state):
                    return state.relo()

            class Unbuilt(nar.Processor):
                def __init__(self):
                    super().__init__(3)
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])


def test_the_command(module, capsys):
    assert cli.main(["check", "checked_module:Sound", "--option", "heads=4", "--no-compile"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "checked_module:Sound: checked_module:Sound heads=4"
    assert [line.split()[1] for line in lines[1:-1]] == [name for name in check.CHECKS if name != "compile"]
    assert lines[-1] == "14 hold, 0 fail, 1 skipped"

    assert cli.main(["check", "checked_module:Unsound", "--no-compile"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.split()[0] == "FAIL"] == ["permutation"]

    assert cli.main(["check", "checked_module:Unfinished", "--no-compile"]) == 1
    out = capsys.readouterr().out
    assert "'Tensor' object has no attribute 'relo' (checked_module.py, line 26)" in out
    assert out.splitlines()[-1].endswith("not tried before these are mended")

    assert cli.main(["check", "checked_module:Unbuilt", "--no-compile"]) == 1
    assert "FAIL  shapes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "takes a processor first"),
        (["nowhere:Net"], "no module named 'nowhere'"),
        (["mpn"], "did you mean 'mpnn'"),
        (["checked_module:Missing"], "Missing in checked_module is not found"),
        (["checked_module:Sound", "--option", "width=3"], "has no option 'width'; it has: heads"),
        (["checked_module:Sound", "--option", "heads"], "--option takes name=value"),
        (["checked_module:Sound", "--option", "heads=3"], "16 features for 3 heads (checked_module.py, line "),
        (["checked_module:Sound", "--optin", "heads=2"], "did you mean '--option'"),
    ],
)
def test_mistakes_are_one_line(module, capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(["check", *arguments])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_what_a_name_stands_for(module, capsys):
    assert cli.main(["list", "triplet_mpnn"]) == 0
    out = capsys.readouterr().out
    assert "arXiv 1704.01212" in out and "triplet_features = 8" in out and "  cost = 'N^3'" in out
    assert "triplets = False" not in out and "chosen by the name: triplets = True" in out
    assert cli.main(["list", "checked_module:Unsound"]) == 0
    assert "  heads = 2\n" in capsys.readouterr().out
    for words, expected in ((["bfs"], "nar show bfs"), (["mpn"], "did you mean"), (["mpnn", "gat"], "one processor")):
        with pytest.raises(SystemExit) as stop:
            cli.main(["list", *words])
        assert stop.value.code == 2 and expected in capsys.readouterr().err


@pytest.mark.parametrize("name", processors.names())
def test_every_name_can_be_looked_up(name, capsys):
    assert cli.main(["list", name]) == 0
    out = capsys.readouterr().out
    assert "options (--option name=value):" in out and len(out.splitlines()[2]) > 20
