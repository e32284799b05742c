"""When the folder is looked at: beside the requests, one round at a time."""

import time

import gevent
import pytest

from serving.repository.repository import Repository
from serving.repository.poller import Watch


@pytest.fixture
def repository(folder, forge):
    forge("garments/1")
    return Repository(folder)


def tick(watch, times=1):
    """Tick and wait for the round that it begins."""
    for _ in range(times):
        watch.tick()
        watch._round.join(20)


def version(repository):
    return repository.named("garments").card.version


def test_ticks_have_a_new_version_taken_up(repository, forge):
    watch = Watch(repository, seconds=0.5)
    forge("garments/2")

    tick(watch, times=2)

    assert version(repository) == "2"


def test_the_folder_is_not_looked_at_before_it_is_time(repository, forge):
    watch = Watch(repository, seconds=60)
    forge("garments/2")

    tick(watch, times=3)

    assert version(repository) == "1"


def test_without_polling_only_an_order_has_the_folder_looked_at(repository, forge):
    watch = Watch(repository, seconds=0)
    forge("garments/2")

    tick(watch, times=3)
    assert version(repository) == "1"

    repository._orders.give("garments", "load")
    tick(watch)
    assert version(repository) == "2"


def test_a_tick_returns_at_once_and_the_loop_goes_on_while_a_file_is_loaded(repository, forge):
    watch = Watch(repository, seconds=0.5)
    forge("garments/2")
    tick(watch)
    turns = []

    watch.tick()
    assert version(repository) == "1"
    while not watch._round.dead:
        turns.append(time.monotonic())
        gevent.sleep(0)

    assert version(repository) == "2"
    assert len(turns) > 1


def test_rounds_do_not_overlap_and_a_long_one_is_reported_once(repository, monkeypatch, caplog):
    monkeypatch.setattr("serving.repository.poller.LONG", 0.0)
    watch = Watch(repository, seconds=0.5)

    watch.tick()
    first = watch._round
    for _ in range(3):
        time.sleep(0.001)
        watch.tick()

    assert watch._round is first
    assert caplog.text.count("nothing new is taken up meanwhile") == 1
    first.join(20)
