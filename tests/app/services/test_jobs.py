"""Work off the window's thread: order, progress, cancel, failures as values, no thread left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Done, Failed, Progress, Stopped
from med2e3.errors import Cancelled


@pytest.fixture
def jobs() -> Iterator[Any]:
    """Jobs on a plain asyncio loop, without Qt, and a way to run a coroutine in it."""
    loop = asyncio.new_event_loop()
    made = Jobs(loop)
    made.run = lambda work: loop.run_until_complete(asyncio.wait_for(work, 20))
    yield made
    assert made.close()
    loop.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("viewer-")]


async def outcome_of(job: Any) -> Any:
    return await job


def test_a_result_comes_back_as_a_value(jobs: Any) -> None:
    job = jobs.start(Lane.FILES, lambda context: 6 * 7)
    assert jobs.run(outcome_of(job)) == Done(42)


def test_a_failure_comes_back_as_a_value(jobs: Any) -> None:
    error = ValueError("no")

    def work(context: Context) -> None:
        raise error

    assert jobs.run(outcome_of(jobs.start(Lane.FILES, work))) == Failed(error)


def test_events_arrive_in_order_on_the_threads_of_the_loop_before_the_result(jobs: Any) -> None:
    events: list[Any] = []

    def work(context: Context) -> str:
        for k in range(500):
            context.emit(k)
        return "end"

    def listen(event: object) -> None:
        events.append((event, threading.current_thread() is threading.main_thread()))

    job = jobs.start(Lane.FILES, work, listen)
    assert jobs.run(outcome_of(job)) == Done("end")
    assert events == [(k, True) for k in range(500)]


def test_progress_in_quick_succession_is_thinned_out_but_its_end_arrives(jobs: Any) -> None:
    events: list[Any] = []

    def work(context: Context) -> None:
        for k in range(1001):
            context.progress(k / 1000, "reading")

    jobs.run(outcome_of(jobs.start(Lane.FILES, work, events.append)))
    assert events[0] == Progress(0.0, "reading")
    assert events[-1] == Progress(1.0, "reading")
    assert len(events) < 500


def test_a_cancelled_job_ends_as_stopped_and_says_no_more(jobs: Any) -> None:
    events: list[Any] = []
    begun = threading.Event()

    def work(context: Context) -> None:
        begun.set()
        while not context.cancelled():
            pass
        context.emit("too late")
        raise Cancelled("stopped")

    job = jobs.start(Lane.MODEL, work, events.append)
    assert begun.wait(10)
    job.cancel()
    assert jobs.run(outcome_of(job)) == Stopped()
    assert events == []


def test_work_that_finishes_in_spite_of_its_cancelling_still_counts_as_stopped(jobs: Any) -> None:
    begun, go = threading.Event(), threading.Event()

    def work(context: Context) -> str:
        begun.set()
        go.wait(10)
        return "done"

    job = jobs.start(Lane.MODEL, work)
    assert begun.wait(10)
    job.cancel()
    go.set()
    assert jobs.run(outcome_of(job)) == Stopped()


def test_a_job_cancelled_in_the_queue_never_starts(jobs: Any) -> None:
    gate, ran = threading.Event(), []
    first = jobs.start(Lane.MODEL, lambda context: gate.wait(10))
    second = jobs.start(Lane.MODEL, lambda context: ran.append(1))
    second.cancel()
    gate.set()
    assert jobs.run(outcome_of(first)) == Done(True)
    assert jobs.run(outcome_of(second)) == Stopped()
    assert ran == []


@pytest.mark.parametrize("first", ["registers", "is cancelled"])
def test_what_stops_the_work_from_outside_is_called_once(jobs: Any, first: str) -> None:
    called: list[int] = []
    ready, go = threading.Event(), threading.Event()

    def work(context: Context) -> None:
        if first == "is cancelled":
            ready.set()
            go.wait(10)
        context.on_cancel(lambda: called.append(1))
        ready.set()
        go.wait(10)

    job = jobs.start(Lane.MODEL, work)
    assert ready.wait(10)
    job.cancel()
    go.set()
    jobs.run(outcome_of(job))
    assert called == [1]


def test_the_lanes_do_not_wait_for_each_other(jobs: Any) -> None:
    gate = threading.Event()
    slow = jobs.start(Lane.MODEL, lambda context: gate.wait(10))
    quick = jobs.start(Lane.FILES, lambda context: "read")
    assert jobs.run(outcome_of(quick)) == Done("read")
    gate.set()
    assert jobs.run(outcome_of(slow)) == Done(True)


def test_giving_up_waiting_leaves_the_job_running(jobs: Any) -> None:
    gate = threading.Event()
    job = jobs.start(Lane.MODEL, lambda context: gate.wait(10))

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outcome_of(job), 0.01)

    jobs.run(give_up())
    gate.set()
    assert jobs.run(outcome_of(job)) == Done(True)
