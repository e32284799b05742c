"""Long work beside the loop."""

import time

import gevent
import pytest

from serving.concurrency import OneByOne, aside, finish
from serving.errors import Overloaded


def test_the_loop_goes_on_while_work_is_done_aside():
    turns = []
    counting = gevent.spawn(lambda: [turns.append(gevent.sleep(0.01)) for _ in range(10)])

    assert aside(lambda: time.sleep(0.5) or "done") == "done"
    assert len(turns) == 10
    counting.join()


def test_what_fails_aside_fails_where_it_was_asked_for():
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 / 0)


def test_whoever_ends_waits_for_what_is_under_way():
    done = []
    working = gevent.spawn(aside, lambda: done.append(time.sleep(0.3)))
    gevent.sleep(0.05)

    finish(20)

    assert done == [None]
    working.join()


def test_whoever_ends_does_not_wait_for_ever():
    working = gevent.spawn(aside, lambda: time.sleep(1))
    gevent.sleep(0.05)

    finish(0.1)

    assert not working.ready()
    working.join()


def test_long_work_is_done_one_after_another():
    one_by_one, running, most = OneByOne(20), [], []

    def work():
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()

    gevent.joinall([gevent.spawn(one_by_one, work) for _ in range(4)])

    assert most == [1, 1, 1, 1]


def test_who_waits_too_long_for_long_work_is_refused_and_the_next_is_not():
    one_by_one = OneByOne(0.05)
    working = gevent.spawn(one_by_one, lambda: time.sleep(0.5))
    gevent.sleep(0.1)

    with pytest.raises(Overloaded, match=r"0\.05 s"):
        one_by_one(time.time)

    working.join()
    assert one_by_one(lambda: "done") == "done"
