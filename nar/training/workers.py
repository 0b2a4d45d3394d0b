"""Worker processes that make things ahead of time, in order, and survive the death of one of them.

What is made is a pure function of its number, so that neither the count of workers nor a crash changes anything: a
number whose worker died is given to another one.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import Any

AHEAD = 2  # numbers that each worker may be ahead of the one that is waited for
ATTEMPTS = 3  # workers that one number may cost

_CONTEXT = multiprocessing.get_context("spawn")  # a fork would copy threads' locks and a CUDA context


def made(make: Callable[[int], Any], numbers: Sequence[int], workers: int, what: str = "item") -> Generator[Any]:
    """`make(number)` for every number, in order: here where `workers` is 0, else by so many processes ahead of time.

    `make` must pickle. What it raises is raised here; `what` names a number in messages.
    """
    if workers == 0:
        return (make(number) for number in numbers)
    return _Pool(make, workers, what).run(numbers)


class _Pool:
    def __init__(self, make: Callable[[int], Any], workers: int, what: str) -> None:
        self.task, self.count, self.what = pickle.dumps(make), workers, what
        self.workers: list[_Worker] = []

    def run(self, numbers: Sequence[int]) -> Generator[Any]:
        done: dict[int, Any] = {}  # by place in `numbers`
        waiting = list(range(len(numbers)))[::-1]  # places, the next one last
        deaths: dict[int, int] = {}
        try:
            self.workers = [_Worker(self.task) for _ in range(min(self.count, len(numbers)))]
            for place in range(len(numbers)):
                while True:
                    for worker in self.workers:
                        near = waiting and waiting[-1] < place + AHEAD * len(self.workers)
                        if worker.place is None and near:
                            worker.give(waiting.pop(), numbers)
                    if place in done:
                        break
                    for worker in self._stirring():
                        try:
                            result = pickle.loads(worker.pipe.recv_bytes())
                        except (EOFError, OSError):  # it died, busy or not
                            self._replace(worker, numbers, deaths, waiting)
                            continue
                        if worker.place is not None:
                            done[worker.place] = result
                        worker.place = None
                value, error = done.pop(place)
                if error is not None:
                    print(error[1], file=sys.stderr)
                    raise error[0]
                yield value
        finally:
            for worker in self.workers:
                worker.stop()

    def _stirring(self) -> list[_Worker]:
        """Wait for workers that have something to say, or have died (which closes their pipe)."""
        by_pipe: dict[Any, _Worker] = {worker.pipe: worker for worker in self.workers}
        return [by_pipe[pipe] for pipe in multiprocessing.connection.wait(list(by_pipe))]

    def _replace(self, worker: _Worker, numbers: Sequence[int], deaths: dict[int, int], waiting: list[int]) -> None:
        code = worker.stop()
        place = worker.place
        if place is not None:
            deaths[place] = deaths.get(place, 0) + 1
            which = f"{self.what} {numbers[place]}"
            if deaths[place] == ATTEMPTS:
                raise RuntimeError(
                    f"{which} ended {ATTEMPTS} workers, the last one with exit code {code}; out of memory?"
                )
            print(f"a worker died (exit code {code}) making {which}; it is made again", file=sys.stderr)
            waiting.append(place)
        elif not worker.proved:
            raise RuntimeError(f"a worker ended with exit code {code} before its first {self.what}")
        self.workers[self.workers.index(worker)] = _Worker(self.task)


class _Worker:
    """One process, the pipe to it, and the place that it is making (None: idle)."""

    def __init__(self, task: bytes) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.place: int | None = None
        self.proved = False
        self.process = _CONTEXT.Process(target=_serve, args=(theirs, task), daemon=True)
        self.process.start()
        theirs.close()  # so that its death closes the pipe

    def give(self, place: int, numbers: Sequence[int]) -> None:
        self.place, self.proved = place, True
        try:
            self.pipe.send(numbers[place])
        except OSError:  # it has died; the closed pipe says so when it is read
            pass

    def stop(self) -> int | None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        return self.process.exitcode


def _serve(pipe: multiprocessing.connection.Connection, task: bytes) -> None:
    """The life of a worker; ends when its pipe is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    make = pickle.loads(task)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    while True:
        try:
            number = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            result = make(number), None
        except Exception as error:
            result = None, (error, traceback.format_exc())
        try:
            payload = pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # an exception that does not pickle
            payload = pickle.dumps((None, (RuntimeError(repr(result[1] or error)), traceback.format_exc())))
        pipe.send_bytes(payload)
