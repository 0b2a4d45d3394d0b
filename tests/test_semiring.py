"""Products over semirings against the full tensor of triples: values, gradients, masks, chunks, memory."""

import itertools
import math
import os
import subprocess
import sys

import pytest
import torch

from nar.nn import semiring
from nar.nn.semiring import SEMIRINGS, Semiring

F64 = torch.float64
# what one triple, and the sum over triples, is, written out once more with Python's own numbers
BY_HAND = {
    "max_plus": lambda pairs: max(a + b for a, b in pairs),
    "min_plus": lambda pairs: min(a + b for a, b in pairs),
    "sum_product": lambda pairs: math.fsum(a * b for a, b in pairs),
    "logsumexp": lambda pairs: math.log(math.fsum(math.exp(a + b) for a, b in pairs)),
}
SIZES = [(2, 5, 4, 6, 3), (1, 1, 3, 2, 1), (3, 7, 7, 7, 2), (2, 4, 1, 5, 2)]


def factors(graphs, third, first, second, width, dtype=F64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(graphs, third, first, width, generator=generator, dtype=dtype)
    right = torch.randn(graphs, third, second, width, generator=generator, dtype=dtype)
    return left.requires_grad_(), right.requires_grad_()


def gradients(value, leaves):
    weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(9), dtype=F64).to(value.dtype)
    return torch.autograd.grad((value.sin() * weights).sum(), leaves)


def same(ours, plain, tolerance):
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_every_semiring_is_written_out():
    assert set(BY_HAND) == set(SEMIRINGS)


@pytest.mark.parametrize("name", SEMIRINGS)
def test_products_by_hand(name):
    left, right = factors(2, 3, 4, 5, 2)
    found = semiring.product(left, right, name)
    assert found.shape == (2, 4, 5, 2)
    for b, j, k, f in itertools.product(range(2), range(4), range(5), range(2)):
        pairs = [(left[b, i, j, f].item(), right[b, i, k, f].item()) for i in range(3)]
        assert found[b, j, k, f].item() == pytest.approx(BY_HAND[name](pairs), rel=1e-13, abs=1e-13)
    x, weight = left[0, :, :, 0].detach(), right[0, 0].detach().t()[:, :4].t()  # [3, 4] and [4, 2]
    mapped = semiring.linear(x, weight, name)
    for r, o in itertools.product(range(3), range(2)):
        pairs = [(x[r, i].item(), weight[i, o].item()) for i in range(4)]
        assert mapped[r, o].item() == pytest.approx(BY_HAND[name](pairs), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("chunk", [1, 600, 2**40])
@pytest.mark.parametrize("name", SEMIRINGS)
def test_products_and_their_twins(name, chunk, monkeypatch):
    monkeypatch.setattr(semiring, "CHUNK_BYTES", chunk)
    for size in SIZES:
        left, right = factors(*size)
        ours, plain = semiring.product(left, right, name), semiring.full_product(left, right, name)
        same((ours, *gradients(ours, (left, right))), (plain, *gradients(plain, (left, right))), 1e-10)
        with torch.no_grad():
            torch.testing.assert_close(semiring.product(left, right, name), plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["max_plus", "min_plus"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_maxima_are_those_of_the_full_tensor_bit_for_bit(name, dtype):
    for seed in range(5):
        left, right = factors(2, 16, 16, 16, 8, dtype, seed)
        ours, plain = semiring.product(left, right, name), semiring.full_product(left, right, name)
        assert ours.equal(plain)
        same(gradients(ours, (left, right)), gradients(plain, (left, right)), 1e-6 if dtype is torch.float32 else 1e-12)


@pytest.mark.parametrize("name", ["max_plus", "min_plus"])
def test_the_gradient_of_a_tie_goes_to_the_first(name):
    left, right = torch.zeros(1, 3, 1, 1, dtype=F64, requires_grad=True), torch.zeros(1, 3, 1, 1, dtype=F64)
    semiring.product(left, right, name).sum().backward()
    assert left.grad.flatten().tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", SEMIRINGS)
def test_masked_third_nodes_do_not_count(name):
    left, right = factors(2, 6, 5, 4, 3)
    mask = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[:, 0] = True  # as with self-loops, somebody counts
    found = semiring.product(left, right, name, mask)
    for b, j in itertools.product(range(2), range(5)):
        near = mask[b, :, j]
        assert 0 < near.sum() < 6 or j > 0
        plain = semiring.full_product(left[b : b + 1, near, j : j + 1], right[b : b + 1, near], name)
        torch.testing.assert_close(found[b, j], plain[0, 0], rtol=1e-10, atol=1e-10)
    into_left, into_right = gradients(found, (left, right))
    assert into_left[~mask].eq(0).all() and into_left[mask].ne(0).any()
    assert into_right.isfinite().all()


@pytest.mark.parametrize("name", SEMIRINGS)
def test_nobody_counts_and_nothing_breaks(name):
    left, right = factors(1, 3, 2, 2, 1)
    found = semiring.product(left, right, name, torch.zeros(1, 3, 2, dtype=torch.bool))
    expected = {"sum_product": 0.0, "min_plus": 1e6}.get(name, -1e6)
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=10)
    assert all(part.isfinite().all() for part in torch.autograd.grad(found.sum(), (left, right)))


def test_logsumexp_neither_overflows_nor_loses_what_is_small():
    """Where one factor is huge and the other tiny, exponentials of the factors would be infinite and zero."""
    left = torch.tensor([300.0, -300.0]).view(1, 2, 1, 1)
    right = torch.tensor([-300.0, 300.5]).view(1, 2, 1, 1)
    assert semiring.product(left, right, "logsumexp").item() == pytest.approx(math.log(1 + math.exp(0.5)), rel=1e-6)


@pytest.mark.parametrize("name", SEMIRINGS)
def test_the_mean_of_equal_terms_is_one_of_them(name):
    chosen = SEMIRINGS[name]
    one, many = (torch.full((1, count, 2, 2, 1), 0.7, dtype=F64) for count in (1, 9))
    left, right = (t[..., 0] for t in (one, one))
    term = semiring.product(left.unsqueeze(-1)[..., 0, :], right.unsqueeze(-1)[..., 0, :], name)
    total = semiring.product(many[..., 0, :], many[..., 0, :], name)
    torch.testing.assert_close(chosen.mean(total, 9), term)
    torch.testing.assert_close(chosen.mean(total, torch.tensor(9)), term)


@pytest.mark.parametrize("name", SEMIRINGS)
def test_products_distribute_and_sums_have_a_neutral_element(name):
    """What makes it a semiring: a TIMES (b SUM c) = (a TIMES b) SUM (a TIMES c), and absent terms do not count."""
    s = SEMIRINGS[name]
    a, b, c = torch.randn(3, 50, dtype=F64)
    once = s.times(a, s.total(torch.stack([b, c]), 0))
    torch.testing.assert_close(once, s.total(torch.stack([s.times(a, b), s.times(a, c)]), 0))
    absent = torch.full_like(b, s.absent)
    torch.testing.assert_close(s.total(torch.stack([b, s.times(absent, a)]), 0), b)


def test_a_semiring_of_ones_own():
    """Widest paths: the best narrowest edge, by (max, min)."""
    widest = Semiring("max_min", torch.minimum, torch.amax, -1e6)
    width = torch.tensor([[0.0, 5.0, 1.0], [5.0, 0.0, 3.0], [1.0, 3.0, 0.0]], dtype=F64).fill_diagonal_(9.0)
    edges = width.view(1, 3, 3, 1).requires_grad_()
    found = semiring.product(edges.transpose(1, 2), edges, widest)
    assert found[0, :, :, 0].tolist() == [[9.0, 5.0, 3.0], [5.0, 9.0, 3.0], [3.0, 3.0, 9.0]]
    found[0, 0, 2].sum().backward()
    assert edges.grad[0, :, :, 0].nonzero().tolist() == [[1, 2]]  # 0 -> 1 -> 2 is as wide as 1 -> 2


@pytest.mark.parametrize("name", SEMIRINGS)
@pytest.mark.parametrize("chunk", [1, 300, 2**40])
def test_linear_maps_and_their_twins(name, chunk, monkeypatch):
    monkeypatch.setattr(semiring, "CHUNK_BYTES", chunk)
    x, weight = torch.randn(2, 5, 4, dtype=F64, requires_grad=True), torch.randn(4, 3, dtype=F64, requires_grad=True)
    ours = semiring.linear(x, weight, name)
    s = SEMIRINGS[name]
    plain = s.total(s.times(x.unsqueeze(-1), weight), -2)
    assert ours.shape == (2, 5, 3)
    same((ours, *gradients(ours, (x, weight))), (plain, *gradients(plain, (x, weight))), 1e-10)
    if name == "sum_product":
        torch.testing.assert_close(ours, x @ weight)


@pytest.mark.parametrize("name", SEMIRINGS)
def test_no_graphs(name):
    left, right = factors(0, 4, 3, 5, 2)
    value = semiring.product(left, right, name)
    assert value.shape == (0, 3, 5, 2)
    value.sum().backward()
    assert semiring.linear(torch.zeros(0, 4), torch.zeros(4, 3), name).shape == (0, 3)


def test_mistakes_are_named():
    left, right = factors(1, 3, 4, 5, 2)
    with pytest.raises(ValueError, match=r"unknown semiring 'max_times'; choose one of max_plus, min_plus"):
        semiring.product(left, right, "max_times")
    with pytest.raises(ValueError, match=r"right \[B, I, K, F\], got \(1, 3, 4, 2\) and \(1, 2, 5, 2\)"):
        semiring.product(left, right[:, :2])
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(4, 5\)"):
        semiring.linear(torch.zeros(2, 3), torch.zeros(4, 5))


MEMORY = """
import re, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from nar.nn import semiring
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) / 2**10
for name, nodes, graphs in (case.split(":") for case in sys.argv[1:]):
    small = [torch.randn(1, 4, 4, 8, requires_grad=True) for _ in range(2)]
    semiring.product(*small, name).sum().backward()  # compiled, imported, warm
    left, right = (torch.randn(int(graphs), int(nodes), int(nodes), 8, requires_grad=True) for _ in range(2))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
    before = peak()
    semiring.product(left, right, name).sum().backward()
    assert left.grad.abs().sum() > 0 and right.grad.abs().sum() > 0
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_grows_with_pairs_not_with_triples():
    """Peaks in MiB of forward and backward, beside the factors, in a process of their own.

    The full tensor of 8 graphs of 256 nodes is 4 GiB, without its gradient; that of one graph of 160 nodes 125 MiB, and
    500 with what its backward pass needs.
    """
    # glibc would keep freed blocks of changing sizes; so, what is freed is given back
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", MEMORY, "max_plus:256:8", "logsumexp:160:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    of_pairs, of_sums = map(float, done.stdout.split())
    assert 0 < of_pairs < 1024 and 0 < of_sums < 100, done.stdout
