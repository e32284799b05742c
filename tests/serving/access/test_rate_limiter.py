"""The limit of a client's images: what it allows, over all workers, and in bounded memory."""

import multiprocessing
import random
import sys
import tempfile
from collections import deque

import pytest

from serving.access.caller import KEY_NAME, caller_of
from serving.access.rate_limit import RateLimit, parse_rate_limit
from serving.access.rate_limiter import TABLE_BYTES, RateLimiter

LIMIT = RateLimit(60, 60)


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    return RateLimiter(LIMIT, clock=clock)


@pytest.mark.parametrize(("text", "seconds"), [("5/second", 1), ("5/minute", 60), ("5/hour", 3_600)])
def test_a_limit_is_written_as_images_in_a_unit_of_time(text, seconds):
    assert parse_rate_limit(text) == RateLimit(5, seconds)


def test_a_burst_gets_the_limit_and_waits_for_the_rest_of_the_window(limiter, clock):
    answers = [limiter.take("ann", 16) for _ in range(4)]

    assert [answer.allowed for answer in answers] == [True, True, True, False]
    assert [answer.remaining for answer in answers] == [44, 28, 12, 12]
    assert answers[-1].wait == 60

    clock.now += 59.9
    assert not limiter.take("ann", 16).allowed
    assert limiter.take("ann", 12).allowed
    clock.now += 0.2
    assert limiter.take("ann", 16).allowed


@pytest.mark.parametrize("now", [6.4, 9.9, 1_000.0, 123_456.7])
def test_the_wait_for_images_just_sent_is_the_window_and_no_second_more(limiter, clock, now):
    clock.now = now

    assert limiter.take("ann", 60).wait == LIMIT.seconds
    assert limiter.take("ann", 1).wait == LIMIT.seconds

    clock.now += LIMIT.seconds
    assert limiter.take("ann", 60).allowed


def test_a_refused_client_that_waits_as_long_as_it_is_told_is_answered(limiter, clock):
    shuffled = random.Random(1)
    for _ in range(300):
        answer = limiter.take("ann", images := shuffled.randint(1, 40))
        if not answer.allowed:
            clock.now += answer.wait
            assert limiter.take("ann", images).allowed
        clock.now += shuffled.random() * 10


def test_no_window_has_more_images_than_the_limit_and_a_client_that_always_asks_gets_nine_tenths_of_it(limiter, clock):
    window, total, start = deque(), 0, clock.now
    while clock.now < start + 50 * LIMIT.seconds:
        clock.now += 0.37
        if limiter.take("ann", 2).allowed:
            window.append(clock.now)
            total += 2
        while window[0] <= clock.now - LIMIT.seconds:
            window.popleft()
        assert 2 * len(window) <= LIMIT.images

    assert total >= 0.9 * 50 * LIMIT.images


def test_clients_have_limits_of_their_own(limiter):
    assert limiter.take("ann", 60).allowed
    assert limiter.take("ben", 60).allowed
    assert not limiter.take("ann", 1).allowed


def test_more_images_than_the_limit_are_never_allowed(limiter):
    answer = limiter.take("ann", 61)

    assert (answer.allowed, answer.remaining, answer.wait) == (False, 60, 60)


def count_allowed(folder, queue):
    limiter = RateLimiter(RateLimit(1_000, 3_600), folder)
    queue.put(sum(limiter.take("ann", 1).allowed for _ in range(900)))


def test_workers_share_the_limit_exactly(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=count_allowed, args=(tmp_path, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()

    allowed = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()

    assert sum(allowed) == 1_000


def test_memory_is_bounded_and_the_clients_with_the_most_images_are_remembered(clock):
    limiter = RateLimiter(LIMIT, clock=clock, buckets=4)
    limiter.take("ann", 60)

    for client in range(1_000):
        assert limiter.take(f"2001:db8::{client:x}", 1).allowed

    assert not limiter.take("ann", 1).allowed
    assert TABLE_BYTES < 8e6


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_a_client_without_a_key_is_its_address_or_its_network_of_64_bits(address, caller):
    assert caller_of({"REMOTE_ADDR": address}) == caller


def test_a_client_with_a_key_is_the_key():
    assert caller_of({"REMOTE_ADDR": "192.0.2.7", KEY_NAME: "ann"}) == "key ann"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the table is a temporary file")
def test_a_worker_that_shares_nothing_needs_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    assert RateLimiter(LIMIT).take("ann", 1).allowed
