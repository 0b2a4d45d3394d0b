"""Compiled kernels of nar.kernels.cpu.fused.pointer_scores.

Kernels see one block of pairs at a time: graphs `first` to `last` and targets `begin` to `end` of arrays that hold all
of them, and arrays of the block's own [graphs, targets, N, F], where pairs are laid out [b, target j, source i].
"""

from nar.kernels.cpu.ranges import SUMS
from nar.traces.record import compiled


@compiled(nogil=True, fastmath=SUMS)
def pointer_scores(first, last, begin, end, channels, edge, states, own, other, weigh, scores, above):
    """scores[i, j] = weigh . max(own[i], other[j] + channels[j, i] edge + states[j, i]); empty states count as zero.

    `above`, unless it is empty: 1 where the second of the two was the larger one.
    """
    nodes, features = own.shape[1:]
    width = channels.shape[3]
    stateful, keep = states.size > 0, above.shape[0] > 0
    pair = own[0, 0].copy() if last > first else own[:0, 0, 0].copy()
    for b in range(first, last):
        for j in range(begin, end):
            target = other[b, j]
            for i in range(nodes):
                source = own[b, i]
                if stateful:
                    state = states[b - first, j - begin, i]
                    for f in range(features):
                        pair[f] = target[f] + state[f]
                else:
                    for f in range(features):
                        pair[f] = target[f]
                for k in range(width):
                    x = channels[b, j, i, k]
                    if x != 0:
                        for f in range(features):
                            pair[f] += x * edge[k, f]
                total = pair[0] * 0
                for f in range(features):
                    total += weigh[f] * (source[f] if pair[f] <= source[f] else pair[f])
                scores[b, i, j] = total
                if keep:
                    bits = above[b, j, i]
                    for f in range(features):
                        bits[f] = pair[f] > source[f]


@compiled(nogil=True, fastmath=SUMS)
def pointer_scores_backward(
    first, last, begin, end, grad, channels, edge, weighted_edge, states, above, own, other,
    grad_pairs, grad_channels, grad_own, grad_other, grad_edge, grad_weigh,
):  # fmt: skip
    """Backward of pointer_scores before `weigh`, which is the same factor for all pairs, is multiplied in.

    So everything but `grad_channels` (whose edges are `weighted_edge`) lacks it, and what the weights themselves get
    follows from the rest (fused.py); only the states' share of that is added up here. Where `above` is empty, who
    was larger is found again. `grad_pairs`, unless it is empty: [graphs, targets, N, F] of the block.
    """
    nodes, features = own.shape[1:]
    width = channels.shape[3]
    stateful, kept, tell = states.size > 0, above.shape[0] > 0, grad_pairs.size > 0
    pair = own[0, 0].copy() if last > first else own[:0, 0, 0].copy()
    for b in range(first, last):
        for j in range(begin, end):
            target, into_target = other[b, j], grad_other[b, j]
            for i in range(nodes):
                g, source, into_source = grad[b, i, j], own[b, i], grad_own[b, i]
                nothing = g * 0
                if kept:
                    bits = above[b, j, i]
                    for f in range(features):
                        pair[f] = g if bits[f] != 0 else nothing
                else:
                    if stateful:
                        state = states[b - first, j - begin, i]
                        for f in range(features):
                            pair[f] = target[f] + state[f]
                    else:
                        for f in range(features):
                            pair[f] = target[f]
                    for k in range(width):
                        x = channels[b, j, i, k]
                        if x != 0:
                            for f in range(features):
                                pair[f] += x * edge[k, f]
                    for f in range(features):
                        pair[f] = g if pair[f] > source[f] else nothing
                for f in range(features):
                    into_target[f] += pair[f]
                    into_source[f] += g - pair[f]
                for k in range(width):
                    x = channels[b, j, i, k]
                    total = nothing
                    for f in range(features):
                        total += pair[f] * weighted_edge[k, f]
                    grad_channels[b, j, i, k] = total
                    if x != 0:
                        for f in range(features):
                            grad_edge[k, f] += x * pair[f]
                if tell:
                    found = grad_pairs[b - first, j - begin, i]
                    for f in range(features):
                        found[f] = pair[f]
                if stateful:
                    state = states[b - first, j - begin, i]
                    for f in range(features):
                        grad_weigh[f] += state[f] * pair[f]


@compiled(nogil=True, fastmath=SUMS)
def weigh(weights, own, grad_own, other, grad_other, edge, grad_edge, onto, grad_onto, grad_weights):
    """Multiply the weights into gradients that lack them, in place, and add up what the weights themselves get.

    The score w max(a, c + X We + E) is linear in each of a, c, We and E where it is the larger one: what w gets is the
    sum of what they get times what they are, before w is multiplied in. `onto` [F, F], with a row per weight, may be
    empty.
    """
    graphs, nodes, features = own.shape
    for b in range(graphs):
        for i in range(nodes):
            x, to, y, into = own[b, i], grad_own[b, i], other[b, i], grad_other[b, i]
            for f in range(features):
                grad_weights[f] += x[f] * to[f] + y[f] * into[f]
                to[f] *= weights[f]
                into[f] *= weights[f]
    for k in range(edge.shape[0]):
        for f in range(features):
            grad_weights[f] += edge[k, f] * grad_edge[k, f]
            grad_edge[k, f] *= weights[f]
    for f in range(onto.shape[0]):
        row, into = onto[f], grad_onto[f]
        total = row[0] * 0
        for c in range(row.shape[0]):
            total += row[c] * into[c]
            into[c] *= weights[f]
        grad_weights[f] += total


@compiled(nogil=True, fastmath=SUMS)
def edge_pointer_scores(first, last, pairs, targets, weigh, scores):
    """scores[i, j, k] = weigh . max(pairs[i, j], targets[k])."""
    nodes, features = targets.shape[1:]
    for b in range(first, last):
        for i in range(nodes):
            for j in range(nodes):
                pair = pairs[b, i, j]
                for k in range(nodes):
                    target = targets[b, k]
                    total = pair[0] * 0
                    for f in range(features):
                        total += weigh[f] * (pair[f] if target[f] <= pair[f] else target[f])
                    scores[b, i, j, k] = total


@compiled(nogil=True, fastmath=SUMS)
def edge_pointer_scores_backward(first, last, grad, pairs, targets, grad_pairs, grad_targets):
    """Backward of edge_pointer_scores before `weigh` is multiplied in."""
    nodes, features = targets.shape[1:]
    for b in range(first, last):
        for i in range(nodes):
            for j in range(nodes):
                pair, into_pair = pairs[b, i, j], grad_pairs[b, i, j]
                for k in range(nodes):
                    target, into_target, g = targets[b, k], grad_targets[b, k], grad[b, i, j, k]
                    for f in range(features):
                        passed = g if target[f] > pair[f] else g * 0
                        into_target[f] += passed
                        into_pair[f] += g - passed
