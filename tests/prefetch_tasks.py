"""What is drawn in the processes of test_prefetch.py; they import it by name."""

import os
import signal
import time


def square(number):
    return number * number


def slow_first(number):
    time.sleep(0.3 if number == 0 else 0)
    return number, os.getpid()


def fails_at_three(number):
    if number == 3:
        raise ValueError("A must be better")
    return number


def dies_once_at_two(folder, number):
    mark = folder / "died"
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dies_at_two(number):
    if number == 2:
        os._exit(7)
    return number
