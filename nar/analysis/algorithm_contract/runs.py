"""Drawing inputs and running on them: from which size on, what stays unchanged, the same trace each time."""

import numpy as np

from nar.analysis.algorithm_contract import disturbed
from nar.analysis.algorithm_contract.examples import Examples
from nar.analysis.contract.outcome import Failed
from nar.traces.trace import Trace

DISTURBED = 60  # inputs that nobody asked for


def sampler(examples: Examples) -> str:
    """Inputs are drawn from the smallest size on, the same for the same seed, and are those that `run` takes."""
    algorithm = examples.algorithm
    if unknown := sorted(set(algorithm.train_params) - set(algorithm.params)):
        raise Failed(f"train_params names {', '.join(unknown)}, which the sampler does not take")
    for example in examples.all:
        if example.arguments.keys() != set(algorithm.arguments):
            raise Failed(f"the sampler draws {sorted(example.arguments)}; prepare takes {list(algorithm.arguments)}")
        again = examples.draw(example.size, example.seed)
        if not all(np.array_equal(again[name], value) for name, value in example.arguments.items()):
            raise Failed(f"the same seed draws other inputs: all randomness must come from rng ({example})")
        if algorithm.fixed_nodes and example.trace.nodes != algorithm.fixed_nodes:
            raise Failed(f"a trace has {example.trace.nodes} nodes; fixed_nodes = {algorithm.fixed_nodes} is declared")
    return f"draws {', '.join(algorithm.arguments)} from size {algorithm.min_nodes} on"


def inputs(examples: Examples) -> str:
    """Neither the caller's inputs nor those of `steps` are written into, and the trace shares no memory with them."""
    for example in examples.all:
        if example.run.changed:
            raise Failed(
                f"steps writes into its argument {', '.join(example.run.changed)}, which is recorded as an input and "
                f"used again when a trace is longer than expected: work on a copy ({example})"
            )
        given = examples.draw(example.size, example.seed)
        before = {name: np.array(value, copy=True) for name, value in given.items()}
        trace = examples.patient.run(**given)
        for name, value in given.items():
            if not np.array_equal(np.asarray(value), before[name]):
                raise Failed(f"run changes the caller's {name}: prepare must copy it ({example})")
            probes = [probe for probe in trace.spec.inputs if np.shares_memory(trace.compact[probe], np.asarray(value))]
            if probes:
                raise Failed(f"the trace's {probes[0]} is the caller's {name} itself: prepare must copy it ({example})")
    return "left as they are, by run and by steps; the trace has copies"


def determinism(examples: Examples) -> str:
    """The same arguments give the same trace."""
    for example in examples.all:
        again = examples.patient.run(**examples.draw(example.size, example.seed))
        if difference := _difference(again, example.trace):
            raise Failed(f"a second run on the same arguments has another {difference} ({example})")
    return "the same arguments give the same trace"


def bound(examples: Examples) -> str:
    """No trace is longer than `bound` of its number of nodes."""
    tightest = 0.0
    for example in examples.all:
        # counted in plain Python, as a run would have been stopped
        length = max(map(len, example.run.hints.values()), default=0)
        most = examples.algorithm.bound(example.trace.nodes)
        if length > most:
            raise Failed(f"{length} steps are recorded; bound({example.trace.nodes}) = {most} ({example})")
        tightest = max(tightest, length / most)
    return f"traces have at most {tightest:.0%} of the steps that bound allows"


def recover(examples: Examples) -> str:
    """The arguments of `run` that are read back from a trace make the same trace again."""
    for example in examples.all:
        try:
            arguments = examples.algorithm.arguments_of(example.trace)
        except KeyError as error:
            raise Failed(f"the spec has no input called {error}, an argument of run: give recover") from None
        if difference := _difference(examples.patient.run(**arguments), example.trace):
            raise Failed(f"arguments read back from a trace give another {difference}: recover is wrong ({example})")
    return "a trace says what it was made from"


def refusals(examples: Examples) -> str:
    """Whatever it is given, the algorithm refuses by a ValueError that names the argument, or answers rightly."""
    algorithm, answered = examples.algorithm, 0
    for seed in range(DISTURBED):
        rng = np.random.RandomState(seed)
        given = disturbed.arguments(examples.draw(algorithm.min_nodes + seed % 6, 2 * seed), rng)
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items())[:200]
        try:
            trace = examples.patient.run(**given)
        except ValueError as error:
            if not any(argument in str(error).split()[:4] for argument in algorithm.arguments):
                raise Failed(f"a ValueError does not begin with the argument that is meant: {error}") from None
            continue
        except Exception as error:
            raise Failed(f"{type(error).__name__}: {error}, where a ValueError is due, on {shown}") from None
        answered += 1
        if not all(np.isfinite(np.asarray(value)).all() for value in trace.compact.values()):
            raise Failed("a number that is not finite is recorded; prepare must refuse what leads to it")
        if not algorithm.is_valid(given, {name: trace.compact[name] for name in trace.spec.outputs}):
            raise Failed(f"the answer is not valid on {shown}")
    return f"{answered} of {DISTURBED} odd inputs are answered, the others refused by name"


def _difference(one: Trace, other: Trace) -> str | None:
    """The first probe in which two traces differ."""
    return next((n for n, v in other.compact.items() if not np.array_equal(one.compact[n], v)), None)
