"""Of jobs that replace each other the latest one counts, whichever ends last."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.work import Done, Outcome, Stopped


class Work:
    """A job that ends when a test says so."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.cancelled = False
        self._end: asyncio.Future[Outcome[str]] = asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        self.cancelled = True

    def end(self) -> None:
        self._end.set_result(Stopped() if self.cancelled else Done(self.name))

    def __await__(self) -> Generator[object, None, Outcome[str]]:
        return self._end.__await__()


async def test_the_result_of_the_only_job_arrives() -> None:
    latest: LatestJob[str] = LatestJob()
    job = latest.start(Work, "one")
    assert latest.busy
    job.end()
    assert await latest.result(job) == Done("one")
    assert not latest.busy


async def test_a_job_that_was_replaced_is_cancelled_and_has_no_result() -> None:
    latest: LatestJob[str] = LatestJob()
    first, order = latest.start(Work, "first"), []

    def begin() -> Work:
        order.append(first.cancelled)
        return Work("second")

    second = latest.start(begin)
    assert order == [True]  # it is out of the way before the next one stands in the queue
    waiting = asyncio.create_task(latest.result(first))
    second.end()
    assert await latest.result(second) == Done("second")
    first.end()
    assert await waiting is None


async def test_an_earlier_job_that_ends_late_does_not_end_the_latest() -> None:
    latest: LatestJob[str] = LatestJob()
    first, second = latest.start(Work), latest.start(Work)
    first.end()
    assert await latest.result(first) is None
    assert latest.busy
    assert not second.cancelled


async def test_a_job_that_was_cancelled_has_no_result_and_another_may_start() -> None:
    latest: LatestJob[str] = LatestJob()
    job = latest.start(Work)
    latest.cancel()
    assert job.cancelled
    assert not latest.busy
    job.end()
    assert await latest.result(job) is None
    again = latest.start(Work, "again")
    again.end()
    assert await latest.result(again) == Done("again")
