"""What followers do in tests/test_shared_batch.py and test_shared_batch_trouble.py; they import it by name."""

import os
import subprocess
import time

import torch


def add(rounds, ranks):
    """A sum for every (size, dtype): of numbers that depend on the process."""
    ranks.meet()
    for size, dtype in rounds:
        ranks.gathered(ranks.sum(numbers(ranks.rank, size, dtype)))


def numbers(rank, size, dtype):
    return (torch.arange(size, dtype=torch.float64) / 7 * 10.0**rank).to(dtype)


def fail(_, ranks):
    ranks.meet()
    ranks.sum(torch.ones(1))
    raise ValueError(f"process {ranks.rank} does not like this")


def fail_strangely(_, ranks):
    ranks.meet()

    class Unpicklable(Exception):
        pass

    raise Unpicklable("cannot be sent")


def unready(_, ranks):
    raise ValueError("not today")


def die_on_the_way(_, ranks):
    (ranks.folder / f"{ranks.rank}.ready").touch()
    time.sleep(0.5)  # the first process waits for the others to connect
    os._exit(3)


def die(_, ranks):
    ranks.meet()
    os._exit(3)


def write_number(path, ranks):
    """Tell the process number, add something, and wait to be stopped."""
    path.write_text(str(os.getpid()))
    ranks.meet()
    ranks.sum(torch.ones(1))
    time.sleep(60)


def leave_a_child(path, ranks):
    """Die while a process that was started here holds all that was open."""
    ranks.meet()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    path.write_text(str(child.pid))
    if (child := os.fork()) == 0:  # holds even what is not inherited
        time.sleep(60)
    path.write_text(f"{path.read_text()} {child}")
    os._exit(4)


def different_kind(_, ranks):
    """What a default dtype of the first process makes here."""
    ranks.meet()
    ranks.sum(torch.ones(3))


def gather(sizes, ranks):
    """Gather things of different sizes."""
    ranks.meet()
    for size in sizes:
        ranks.gathered([ranks.rank] * size)
