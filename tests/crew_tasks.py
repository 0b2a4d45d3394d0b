"""What the other processes of a crew do in tests/test_crew.py; they import it by name."""

import os

import torch


def add(rounds, ranks):
    """A sum for every (size, dtype): of numbers that depend on the process."""
    for size, dtype in rounds:
        ranks.sum(numbers(ranks.rank, size, dtype))


def numbers(rank, size, dtype):
    return (torch.arange(size, dtype=torch.float64) / 7 * 10.0**rank).to(dtype)


def fail(_, ranks):
    ranks.sum(torch.ones(1))
    raise ValueError(f"process {ranks.rank} does not like this")


def fail_strangely(_, ranks):
    class Unpicklable(Exception):
        pass

    raise Unpicklable("cannot be sent")


def die(_, ranks):
    os._exit(3)


def write_number(path, ranks):
    """Tell the process number, and wait to be dismissed."""
    path.write_text(str(os.getpid()))
    ranks.meet()
    ranks.meet()
