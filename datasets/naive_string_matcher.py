"""Naive string matching: try every shift of the pattern, one character after the other."""

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import strings
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "CLRS 32.1 (Introduction to Algorithms, 3rd edition, 2009)"

SPEC = Spec(
    {
        "string": ("input", "node", "mask"),
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "categorical", strings.CHARACTERS),
        "match": ("output", "node", "mask_one"),
        "pred_h": ("hint", "node", "pointer"),
        "s": ("hint", "node", "mask_one"),
        "i": ("hint", "node", "mask_one"),
        "j": ("hint", "node", "mask_one"),
    }
)


def prepare(T, P):
    T, P = strings.check_string(T, "T"), strings.check_string(P, "P")
    if len(P) > len(T):  # no shift to try, hence nothing to record
        raise ValueError(f"T must be at least as long as P, got lengths {len(T)} and {len(P)}")
    return (T, P), strings.probes(T, P)


@compiled
def naive_string_matcher(trace, T, P):
    n, m = len(T), len(P)
    pred = strings.predecessors(n, m)
    for s in range(n - m + 1):
        j = 0
        record(trace, pred, s, s, n)
        while T[s + j] == P[j]:
            if j == m - 1:
                return s
            j += 1
            record(trace, pred, s, s + j, n + j)
    return n  # no match: the first node of the pattern


def longest(nodes):
    """All but the last character of P match at every shift, for the worst length m of P."""
    return max((nodes - 2 * m + 1) * m for m in {1, (nodes + 1) // 4, (nodes + 1) // 4 + 1} if 2 * m <= nodes)


algorithm = Algorithm(
    name="naive_string_matcher",
    spec=SPEC,
    citation=CITATION,
    category="strings",
    steps=naive_string_matcher,
    prepare=prepare,
    sampler=strings.sample_match,
    bound=longest,
    oracle=strings.first_match,
    validity=strings.is_match,
    recover=strings.recover_match,
    train_params={"length_needle": -8},
    train_sizes=(20,),
    min_nodes=3,
    num_samples_multiplier=64,
    pred_as_input=True,
)
