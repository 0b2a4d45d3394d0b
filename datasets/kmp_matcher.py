"""Knuth-Morris-Pratt: string matching in linear time, by the longest border of every prefix of the pattern."""

import numpy as np

from nar.traces.algorithm import Algorithm
from nar.traces.inputs import strings
from nar.traces.record import compiled, record
from nar.traces.spec import Spec

CITATION = "D. Knuth, J. Morris, V. Pratt. Fast pattern matching in strings. SIAM J. Comput. 6(2), 1977. CLRS 32.4"

SPEC = Spec(
    {
        "string": ("input", "node", "mask"),
        "pos": ("input", "node", "scalar"),
        "key": ("input", "node", "categorical", strings.CHARACTERS),
        "match": ("output", "node", "mask_one"),
        "pred_h": ("hint", "node", "pointer"),
        "pi": ("hint", "node", "pointer"),
        "is_reset": ("hint", "node", "mask"),
        "k": ("hint", "node", "mask_one"),
        "k_reset": ("hint", "graph", "mask"),
        "q": ("hint", "node", "mask_one"),
        "q_reset": ("hint", "graph", "mask"),
        "s": ("hint", "node", "mask_one"),
        "i": ("hint", "node", "mask_one"),
        "phase": ("hint", "graph", "mask"),
    }
)


def prepare(T, P):
    T, P = strings.check_string(T, "T"), strings.check_string(P, "P")
    return (T, P), strings.probes(T, P)


# The textbook's k counts characters that match; here it is the last of them, as an index into P. With none, it is 0
# and k_reset is 1; pi and is_reset say the same of every prefix, q and q_reset of the text. pi holds nodes: n + index.
@compiled
def kmp_matcher(trace, T, P):
    n, m = len(T), len(P)
    pred = strings.predecessors(n, m)
    pi = np.arange(n + m)
    is_reset = np.zeros(n + m, np.int8)
    is_reset[n] = 1
    k, k_reset = 0, 1
    record(trace, pred, pi, is_reset, n, k_reset, n + min(1, m - 1), 1, 0, 0, 0)

    for q in range(1, m):  # compute the prefix function
        while not k_reset and P[k + 1] != P[q]:
            k, k_reset = (0, 1) if is_reset[n + k] else (pi[n + k] - n, 0)
            record(trace, pred, pi, is_reset, n + k, k_reset, n + q, 1, 0, 0, 0)
        if P[0 if k_reset else k + 1] == P[q]:
            k, k_reset = (0, 0) if k_reset else (k + 1, 0)
        else:
            k, k_reset = 0, 1
            is_reset[n + q] = 1
        pi[n + q] = n + k
        record(trace, pred, pi, is_reset, n + k, k_reset, n + q, 1, 0, 0, 0)

    q, q_reset = 0, 1
    for i in range(n):  # scan the text
        s = max(0, i - m + 1)
        record(trace, pred, pi, is_reset, n + k, k_reset, n + q, q_reset, s, i, 1)
        while not q_reset and P[q + 1] != T[i]:
            q, q_reset = (0, 1) if is_reset[n + q] else (pi[n + q] - n, 0)
            record(trace, pred, pi, is_reset, n + k, k_reset, n + q, q_reset, s, i, 1)
        following = 0 if q_reset else q + 1
        if P[following] == T[i]:
            q, q_reset = following, 0
            if q == m - 1:
                return s
    return n  # no match: the first node of the pattern


algorithm = Algorithm(
    name="kmp_matcher",
    spec=SPEC,
    citation=CITATION,
    category="strings",
    steps=kmp_matcher,
    prepare=prepare,
    sampler=strings.sample_match,
    bound=lambda n: 2 * n - 1,  # every step back undoes a step forward
    oracle=strings.first_match,
    validity=strings.is_match,
    recover=strings.recover_match,
    train_params={"length_needle": -8},
    train_sizes=(20,),
    min_nodes=3,
    num_samples_multiplier=64,
    pred_as_input=True,
)
