"""Slow work runs in threads beside the event loop."""

import time

import gevent
import pytest

from serving.concurrency import SerialExecutor, join_threads, run_in_thread
from serving.errors import Overloaded


def test_the_event_loop_goes_on_while_work_runs_in_a_thread():
    turns = []
    counting = gevent.spawn(lambda: [turns.append(gevent.sleep(0.01)) for _ in range(10)])

    assert run_in_thread(lambda: time.sleep(0.2) or "done") == "done"
    assert len(turns) == 10
    counting.join()


def test_an_exception_in_a_thread_is_raised_in_the_caller():
    with pytest.raises(ZeroDivisionError):
        run_in_thread(lambda: 1 / 0)


def test_join_threads_waits_for_running_work():
    done = []
    working = gevent.spawn(run_in_thread, lambda: done.append(time.sleep(0.3)))
    gevent.sleep(0.05)

    join_threads(20)

    assert done == [None]
    working.join()


def test_join_threads_waits_no_longer_than_its_timeout():
    working = gevent.spawn(run_in_thread, lambda: time.sleep(0.3))
    gevent.sleep(0.05)

    join_threads(0.1)

    assert not working.ready()
    working.join()


def test_a_serial_executor_runs_one_job_at_a_time():
    executor, running, most = SerialExecutor(20), [], []

    def work():
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()

    gevent.joinall([gevent.spawn(executor.run, work) for _ in range(4)])

    assert most == [1, 1, 1, 1]


def test_a_job_that_waits_too_long_is_refused_and_a_later_one_runs():
    executor = SerialExecutor(0.05)
    working = gevent.spawn(executor.run, lambda: time.sleep(0.2))
    gevent.sleep(0.1)

    with pytest.raises(Overloaded, match=r"waited for 0\.05 s while other requests did slow work; ask again"):
        executor.run(time.time)

    working.join()
    assert executor.run(lambda: "done") == "done"
