"""Work spread over local processes, or over the workers of a Dask cluster that have this package.

    for cell, row in spread(row_of, cells, scheduler, processes, Words("cell", str, "Rows done are kept")):
        ...

A local process that dies takes the job under way with it: that is tried again in a new one. A Dask scheduler does the
same with the jobs of a worker that is lost. Closing the generator ends the local processes, and takes back what the
cluster has not done.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import uuid4

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import POLL_S, check
from ondevice_sora.base.workers import WorkerDiedError, Workers

if TYPE_CHECKING:
    from distributed import Client, Future

Job = TypeVar("Job")
Result = TypeVar("Result")

PATIENCE = "20s"
"""How long a Dask scheduler may take to answer."""
CLOSE_S = 5
"""How long it may take to say goodbye."""
ATTEMPTS = 3
"""A job whose process dies so often is at fault itself."""


class Words(NamedTuple):
    """How complaints speak of the work: a job's kind ('cell') and name, and what stays ('Rows done are kept')."""

    kind: str
    name: Callable[[Any], str]
    kept: str


def spread(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    scheduler: str | None,
    processes: int | None,
    words: Words,
    prepare: Callable[[], object] | None = None,
) -> Generator[tuple[Job, Result]]:
    """Jobs and their results, as they get done.

    `scheduler` is the address of a Dask scheduler; without one so many local `processes` work, by default one per core.
    `prepare` is called where the work is done, before it. `work`, jobs and results are pickled. Raises what the work
    raises; UserError if no scheduler answers or it is lost, or if a job ends its process time and again; Interrupted.
    """
    if not jobs:
        return
    if scheduler is not None:
        yield from _on_cluster(partial(_prepared, prepare, work), jobs, scheduler, words)
    else:
        yield from _on_processes(work, jobs, processes, words, prepare)


def _on_processes(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    processes: int | None,
    words: Words,
    prepare: Callable[[], object] | None,
) -> Generator[tuple[Job, Result]]:
    count = min(processes or os.cpu_count() or 1, len(jobs))
    with Workers(work, count, prepare=prepare, attempts=ATTEMPTS) as workers:
        try:
            yield from workers.results(jobs)
        except WorkerDiedError as died:
            raise UserError(
                f"{ATTEMPTS} processes have ended at this {words.kind}; the last one {died.how}",
                words.name(died.job),
                f"{words.kept}; give it fewer --processes if memory is short.",
            ) from None


def _prepared(prepare: Callable[[], object] | None, work: Callable[[Job], Result], job: Job) -> Result:
    """On a cluster: nobody but the job prepares its worker."""
    if prepare is not None:
        prepare()
    return work(job)


def _on_cluster(
    work: Callable[[Job], Result], jobs: Sequence[Job], scheduler: str, words: Words
) -> Generator[tuple[Job, Result]]:
    from distributed import Client, KilledWorker

    for name in ("distributed.client", "distributed.core"):  # what is lost is told below, in one message
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers there: {error}", scheduler, "Start one: `dask scheduler`."
        ) from None
    ended: SimpleQueue[Future] = SimpleQueue()
    own = uuid4().hex
    futures = {
        client.submit(work, job, key=f"{words.kind}-{own}-{number}", pure=False): job for number, job in enumerate(jobs)
    }
    try:
        for future in futures:
            future.add_done_callback(ended.put)
        for number in range(len(futures)):
            future = _next(ended, client)
            if future is None or future.cancelled():
                what = f"the Dask scheduler was lost with {len(futures) - number} {words.kind}s left"
                raise UserError(what, scheduler, f"{words.kept}; the same command goes on from them.")
            failure = future.exception()
            if isinstance(failure, KilledWorker):
                what = f"a {words.kind} ended its workers time and again: {failure}"
                raise UserError(what, words.name(futures[future]), f"{words.kept}.")
            if failure is not None:
                raise failure
            yield futures[future], future.result()
    finally:
        if client.status == "running":
            client.cancel(list(futures))
        client.close(timeout=CLOSE_S)


def _next(ended: SimpleQueue[Future], client: Client) -> Future | None:
    """The next future that is done, or None if the scheduler is gone."""
    while True:
        check()
        try:
            return ended.get(timeout=POLL_S)
        except Empty:
            if client.status != "running":
                return None
