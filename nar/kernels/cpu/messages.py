"""Compiled kernels of nar.kernels.cpu.fused.message_pool: what happens before, between and after its matrix products.

Kernels see one block of messages at a time: graphs `first` to `last` and receivers `begin` to `end` of arrays that hold
all of them, and arrays of the block's own [graphs, N senders, receivers, F].
"""

from nar.kernels.cpu.ranges import SAFE, SUMS
from nar.traces.record import compiled


@compiled(nogil=True, fastmath=SAFE)
def message_parts(first, last, begin, end, channels, edge, senders, receivers, parts):
    """parts[i, j] = ReLU(channels[i, j] edge + senders[i] + receivers[j])."""
    nodes, width, features = channels.shape[1], channels.shape[3], senders.shape[2]
    for b in range(first, last):
        for i in range(nodes):
            own = senders[b, i]
            for j in range(begin, end):
                part, other = parts[b - first, i, j - begin], receivers[b, j]
                for f in range(features):
                    part[f] = own[f] + other[f]
                for k in range(width):
                    x = channels[b, i, j, k]
                    if x != 0:
                        for f in range(features):
                            part[f] += x * edge[k, f]
                for f in range(features):
                    if part[f] < 0:
                        part[f] = 0


@compiled(nogil=True, fastmath=SAFE)
def add_and_rectify(x, bias):
    """ReLU(x + bias) in place, row by row."""
    for r in range(x.shape[0]):
        row = x[r]
        for f in range(x.shape[1]):
            value = row[f] + bias[f]
            row[f] = 0 if value < 0 else value  # NaN stays


@compiled(nogil=True, fastmath=SAFE)
def max_over_senders(first, last, begin, end, messages, bias, mask, pooled, where):
    """Maximum over senders, then the bias, and the sender that gave it; an empty mask lets every sender through.

    `where` may be empty: then only the maxima are found.
    """
    nodes, features = messages.shape[1], messages.shape[3]
    masked, keep = mask.shape[0] > 0, where.shape[0] > 0
    low = messages.dtype.type(-1e6)
    for b in range(first, last):
        for i in range(nodes):
            for j in range(begin, end):
                best, message = pooled[b, j], messages[b - first, i, j - begin]
                absent = masked and not mask[b, i, j]
                if i == 0:
                    for f in range(features):  # nodes are their own neighbours: one sender counts, and above -10^6
                        best[f] = low if absent else message[f]
                    if keep:
                        where[b, j] = 0
                elif absent:
                    continue
                elif keep:
                    index = where[b, j]
                    for f in range(features):
                        value = message[f]
                        better = (value > best[f]) | (value != value)  # NaN wins
                        best[f] = value if better else best[f]
                        index[f] = i if better else index[f]
                else:
                    for f in range(features):
                        value = message[f]
                        best[f] = value if (value > best[f]) | (value != value) else best[f]
        for j in range(begin, end):
            best = pooled[b, j]
            for f in range(features):
                best[f] += bias[f]


@compiled(nogil=True, fastmath=SUMS)
def max_backward(first, last, begin, end, grad, where, hidden, weight, grad_hidden, grad_weight):
    """Backward of max over senders of hidden @ weight.T."""
    inner, features = hidden.shape[3], grad.shape[2]
    for b in range(first, last):
        grad_hidden[b - first] = 0
        for j in range(begin, end):
            for f in range(features):
                g, i = grad[b, j, f], where[b, j, f]
                if g == 0:
                    continue
                to, of = grad_hidden[b - first, i, j - begin], hidden[b - first, i, j - begin]
                for c in range(inner):
                    to[c] += g * weight[f, c]
                for c in range(inner):
                    grad_weight[f, c] += g * of[c]


@compiled(nogil=True, fastmath=SUMS)
def rectified_backward(grad, value, total):
    """Undo a ReLU with result `value` in place, and add the rows up."""
    for r in range(grad.shape[0]):
        g, x = grad[r], value[r]
        for f in range(grad.shape[1]):
            passed = g[f] if x[f] > 0 else g[f] * 0
            g[f] = passed
            total[f] += passed


@compiled(nogil=True, fastmath=SUMS)
def message_parts_backward(
    first, last, begin, end, grad, parts, channels, edge, grad_channels, grad_senders, grad_receivers, grad_edge
):
    """Backward of message_parts; `grad` is overwritten."""
    nodes, width, features = channels.shape[1], channels.shape[3], parts.shape[3]
    for b in range(first, last):
        for i in range(nodes):
            into_sender = grad_senders[b, i]
            for j in range(begin, end):
                g, part = grad[b - first, i, j - begin], parts[b - first, i, j - begin]
                into_receiver = grad_receivers[b, j]
                for f in range(features):
                    passed = g[f] if part[f] > 0 else g[f] * 0
                    g[f] = passed
                    into_sender[f] += passed
                    into_receiver[f] += passed
                for k in range(width):
                    x = channels[b, i, j, k]
                    total = g[0] * 0
                    for f in range(features):
                        total += g[f] * edge[k, f]
                    grad_channels[b, i, j, k] = total
                    if x != 0:
                        for f in range(features):
                            grad_edge[k, f] += x * g[f]
