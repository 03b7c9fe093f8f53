"""Work spread over processes of our own, which end with this one.

    with Workers(row_of, count=4) as workers:
        for cell, row in workers.results(cells):
            ...

Each worker is started when there is a job for it, and gets the next one when it is done. Function, jobs and results are
pickled, so the function is one of a module. Leaving the `with` ends all workers at once, whatever they are at.

Not concurrent.futures: its workers outlive a parent that is killed, its semaphores stay in shared memory then, and it
does not say which job a process died of, nor how.
"""

from __future__ import annotations

import os
import pickle
import selectors
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

from ondevice_sora.base import children
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import POLL_S, check

Job = TypeVar("Job")
Result = TypeVar("Result")


class WorkerDiedError(Exception):
    """A process ended during a job, so many times. `how` goes on after its name: 'was ended by ...'."""

    def __init__(self, job: Any, how: str) -> None:
        super().__init__(f"a process {how}")
        self.job = job
        self.how = how


class Workers(Generic[Job, Result]):
    """At most `count` processes. `prepare` is called in each before its first job.

    A job whose process dies is given to another, `attempts` times in all.
    """

    def __init__(
        self,
        work: Callable[[Job], Result],
        count: int,
        *,
        prepare: Callable[[], object] | None = None,
        attempts: int = 1,
    ) -> None:
        self.work, self.count, self.prepare, self.attempts = work, count, prepare, attempts
        self._busy: dict[subprocess.Popen[bytes], Job] = {}
        self._idle: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers[Job, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in (*self._busy, *self._idle):
            children.end(process)
        self._busy, self._idle = {}, []

    def results(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Jobs and their results, as they get done. Raises what the work raises, WorkerDiedError, and Interrupted."""
        left = [(job, 1) for job in reversed(list(jobs))]
        attempt: dict[subprocess.Popen[bytes], int] = {}
        with selectors.DefaultSelector() as selector:
            while left or self._busy:
                check()
                while left and len(self._busy) < self.count:
                    job, number = left.pop()
                    process = self._idle.pop() if self._idle else self._started()
                    self._busy[process], attempt[process] = job, number
                    assert process.stdout is not None
                    selector.register(process.stdout, selectors.EVENT_READ, process)
                    _send(process, job)
                for key, _ in selector.select(POLL_S):
                    process = key.data
                    selector.unregister(key.fileobj)
                    job = self._busy[process]
                    try:
                        result, error = pickle.load(process.stdout)
                    except (EOFError, pickle.UnpicklingError):
                        how = children.how_it_ended(process.wait())
                        children.end(process)
                        del self._busy[process]
                        if attempt[process] == self.attempts:
                            raise WorkerDiedError(job, how) from None
                        left.append((job, attempt[process] + 1))
                        continue
                    self._idle.append(process)
                    del self._busy[process]
                    if error is not None:
                        raise error
                    yield job, result

    def _started(self) -> subprocess.Popen[bytes]:
        process = children.start(__name__, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        _send(process, (self.prepare, self.work))
        return process


def _send(process: subprocess.Popen[bytes], what: object) -> None:
    """To a process that may have died: then nothing, for its end is noticed where its answer is awaited."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        pickle.dump(what, process.stdin)
        process.stdin.flush()


def _serve() -> None:
    """In a worker: do what comes on standard input, answer on what was standard output; prints go to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests = sys.stdin.buffer
    prepare, work = pickle.load(requests)
    if prepare is not None:
        prepare()
    while True:
        try:
            job = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = pickle.dumps((work(job), None))
        except Exception as error:
            if not isinstance(error, UserError):
                error.add_note(f"in a process of its own:\n{traceback.format_exc()}")
            answer = pickle.dumps((None, error))
        answers.write(answer)
        answers.flush()


if __name__ == "__main__":
    _serve()
