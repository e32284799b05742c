"""Long work beside the loop."""

import time

import gevent
import pytest

from serving.aside import aside, finish


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
