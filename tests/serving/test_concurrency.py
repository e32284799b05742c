"""Slow work runs in threads beside the event loop."""

import threading
import time

import gevent
import gevent.socket
import pytest
from waiting import until

from serving.concurrency import TURN_SECONDS, SerialExecutor, Turn, join_threads, run_in_thread
from serving.errors import Overloaded


@pytest.fixture
def gate():
    """Return an event that slow work waits for; it is set at the end of the test."""
    gate = threading.Event()
    yield gate
    gate.set()
    join_threads(20)


def start(run, work):
    """Start work in a greenlet; return once it runs."""
    started = threading.Event()
    greenlet = gevent.spawn(run, lambda: started.set() or work())
    until(started.is_set)
    return greenlet


def test_the_event_loop_goes_on_while_work_runs_in_a_thread(gate):
    opening = gevent.spawn_later(0.01, gate.set)

    assert run_in_thread(lambda: gate.wait(20) and "done") == "done"
    assert opening.ready()


def test_an_exception_in_a_thread_is_raised_in_the_caller_and_not_printed(capfd):
    with pytest.raises(ZeroDivisionError):
        run_in_thread(lambda: 1 / 0)
    assert capfd.readouterr().err == ""


def test_join_threads_waits_for_running_work():
    results = []
    working = start(run_in_thread, lambda: results.append(time.sleep(0.1)))

    join_threads(20)

    assert results == [None]
    working.join()


def test_join_threads_waits_no_longer_than_its_timeout(gate):
    working = start(run_in_thread, lambda: gate.wait(20))

    join_threads(0.05)

    assert not working.ready()


def test_a_serial_executor_runs_one_job_at_a_time():
    executor, running, counts = SerialExecutor(20), [], []

    def work():
        running.append(1)
        counts.append(len(running))
        time.sleep(0.02)
        running.pop()

    gevent.joinall([gevent.spawn(executor.run, work) for _ in range(4)])

    assert counts == [1, 1, 1, 1]


def test_a_job_that_waits_too_long_is_refused_and_a_later_one_runs(gate):
    executor = SerialExecutor(0.05)
    working = start(executor.run, lambda: gate.wait(20))

    with pytest.raises(Overloaded, match=r"waited for 0\.05 s while other requests did slow work; ask again"):
        executor.run(time.time)

    gate.set()
    working.join()
    assert executor.run(lambda: "done") == "done"


def test_a_job_that_fails_does_not_block_the_next():
    executor = SerialExecutor(0.05)

    with pytest.raises(ZeroDivisionError):
        executor.run(lambda: 1 / 0)

    assert executor.run(lambda: "done") == "done"


def test_between_long_turns_a_client_that_has_just_sent_something_is_heard():
    ours, theirs = gevent.socket.socketpair()
    hearing = gevent.spawn(ours.recv, 1)
    gevent.sleep(0)
    theirs.send(b"x")

    turn = Turn()
    for _ in range(5):
        spend(TURN_SECONDS)
        turn.end_if_long()

    assert hearing.ready()
    ours.close()
    theirs.close()


def test_a_short_turn_goes_on():
    other = gevent.spawn(lambda: None)

    Turn().end_if_long()

    assert not other.ready()
    other.join()


def spend(seconds):
    """Keep the event loop busy, as decoding an image does."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
