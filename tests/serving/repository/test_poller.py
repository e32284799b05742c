"""The poller follows the model folder beside the requests, one round at a time."""

import gevent
import pytest
from waiting import until

from serving.repository.commands import LOAD, WorkerCommands
from serving.repository.poller import Poller
from serving.repository.repository import Repository


class SlowRepository(Repository):
    """Counts the rounds of a poller; each takes until it is let go."""

    rounds = 0
    let_go = False

    def run_commands(self):
        self.rounds += 1
        until(lambda: self.let_go)


@pytest.fixture
def commands(tmp_path):
    return WorkerCommands(tmp_path / "commands")


@pytest.fixture
def repository(folder, forge, commands):
    forge("garments/1")
    return Repository(folder, commands=commands)


def version(repository):
    return repository.named("garments").card.version


def test_ticks_load_a_new_version(repository, forge):
    poller = Poller(repository, interval=0.5)
    forge("garments/2")

    until(lambda: poller.tick() or version(repository) == "2")


def test_the_folder_is_not_polled_before_it_is_due(repository, forge):
    poller = Poller(repository, interval=60)
    forge("garments/2")

    for _ in range(3):
        poller.poll()

    assert version(repository) == "1"


def test_without_an_interval_the_folder_is_polled_only_on_command(repository, forge, commands):
    poller = Poller(repository, interval=0)
    forge("garments/2")

    for _ in range(3):
        poller.poll()
    assert version(repository) == "1"

    commands.publish("garments", LOAD)
    poller.poll()
    assert version(repository) == "2"


def test_a_tick_returns_at_once_and_the_event_loop_goes_on_while_a_file_is_loaded(repository, forge):
    poller = Poller(repository, interval=0.5)
    forge("garments/2")
    poller.poll()
    turns = []

    poller.tick()
    assert version(repository) == "1"
    until(lambda: turns.append(1) or version(repository) == "2")

    assert len(turns) > 2


def test_rounds_do_not_overlap_and_a_slow_one_is_logged_once(folder, caplog):
    repository = SlowRepository(folder)
    poller = Poller(repository, interval=0.5, warn_after=0.005)

    for _ in range(5):
        poller.tick()
        gevent.sleep(0.004)

    assert repository.rounds == 1
    assert caplog.text.count("reading the model folder has taken 0.005 s so far: until it ends, no new") == 1
    repository.let_go = True
    until(lambda: poller.tick() or repository.rounds == 2)


def test_a_round_that_has_ended_is_not_logged(folder, caplog):
    repository = SlowRepository(folder)
    repository.let_go = True
    poller = Poller(repository, interval=0, warn_after=0.001)

    for _ in range(3):
        poller.tick()
        gevent.sleep(0.002)

    assert repository.rounds == 3
    assert "reading the model folder" not in caplog.text
