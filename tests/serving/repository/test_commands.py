"""A command that one worker gets is carried out by all; here each repository stands for a worker."""

import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from serving.errors import NoModel, UnknownModel
from serving.repository.commands import ACK_PREFIX, UNLOAD, WorkerCommands
from serving.repository.repository import Repository


@pytest.fixture
def shared(tmp_path):
    return tmp_path / "commands"


def answering(repository, name="garments"):
    """Return the version that answers, or the refusal."""
    try:
        return repository.named(name).card.version
    except UnknownModel as refusal:
        return str(refusal)


def test_an_unloaded_model_is_refused_as_unknown_with_the_reason(folder, forge):
    forge("garments/1")
    forge("garments/2")
    repository = Repository(folder)

    model = repository.unload("garments")

    assert answering(repository) == "The model 'garments' was unloaded; an operator can load it again."
    assert (model.classifier, model.reason) == (None, "unloaded")
    assert [version.state for version in model.files.values()] == ["unavailable", "unavailable"]
    with pytest.raises(UnknownModel, match="was unloaded"):
        repository.named("garments", "1")
    with pytest.raises(NoModel, match="No model for greyscale images is loaded"):
        repository.default(grey=True)


def test_an_unloaded_model_stays_unloaded_when_its_folder_changes(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    repository.unload("garments")

    forge("garments/2")
    for _ in range(3):
        repository.poll()

    assert "was unloaded" in answering(repository)
    assert repository.find("garments").versions == ("1", "2")


def test_a_model_whose_folder_cannot_be_read_can_be_unloaded(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    shutil.rmtree(folder / "garments")
    (folder / "garments").symlink_to("garments")
    repository.poll()
    assert answering(repository) == "1"

    assert repository.unload("garments").unloaded

    repository.poll()
    assert "was unloaded" in answering(repository)


def test_unloading_is_not_logged_as_an_error(folder, forge, caplog):
    forge("garments/1")

    Repository(folder).unload("garments")

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_loaded_model_answers_in_its_highest_version(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    repository.unload("garments")
    forge("garments/2")

    model = repository.load("garments")

    assert model.classifier.card.version == answering(repository) == "2"


def test_loading_adds_a_new_model_at_once(folder, forge):
    repository = Repository(folder)
    forge("garments/1")

    repository.load("garments")

    assert answering(repository) == "1"


def test_loading_leaves_other_models_unchanged(folder, forge):
    forge("garments/1")
    forge("shoes/1")
    repository = Repository(folder)
    forge("garments/2")
    forge("shoes/2")

    repository.load("garments")

    assert (answering(repository), answering(repository, "shoes")) == ("2", "1")


def test_loading_opens_a_refused_file_once_more(folder, forge, monkeypatch):
    forge("garments/1")
    monkeypatch.setattr("serving.model.classifier.GOLDEN_TOLERANCE", -1.0)  # as if memory had failed for a moment
    repository = Repository(folder)
    monkeypatch.undo()
    repository.poll()
    assert repository.find("garments").classifier is None

    repository.load("garments")

    assert answering(repository) == "1"


def test_loading_a_newer_version_that_is_refused_says_so_and_what_answers(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    forge("garments/2").write_bytes(b"half a file")

    with pytest.raises(NoModel, match=r"'garments' still answers in version 1: .*garments/2/model\.onnx: it is not"):
        repository.load("garments")

    assert answering(repository) == "1"


def test_loading_a_file_that_is_refused_in_the_place_of_the_answering_one_says_so(folder, forge):
    path = forge("garments/1")
    repository = Repository(folder)
    path.write_bytes(b"half a file")

    with pytest.raises(NoModel, match=r"still answers in version 1: .*garments/1/model\.onnx: it is not"):
        repository.load("garments")

    assert answering(repository) == "1"


def test_loading_does_not_ask_for_older_versions_to_be_sound(folder, forge):
    forge("garments/1").write_bytes(b"half a file")
    forge("garments/2")
    repository = Repository(folder)
    with pytest.raises(NoModel):
        repository.named("garments", "1")

    assert repository.load("garments").classifier.card.version == "2"


def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason(folder, forge):
    forge("garments/1").write_bytes(b"")
    repository = Repository(folder)

    with pytest.raises(NoModel, match=r"'garments' cannot be served: .*garments/1/model\.onnx: onnxruntime cannot"):
        repository.load("garments")


@pytest.mark.parametrize("name", ["hats", "", ".", "..", "../models/garments", ".hidden", "garments/1", "a\0b"])
@pytest.mark.parametrize("command", [Repository.load, Repository.unload])
def test_a_name_that_is_not_a_models_is_neither_loaded_nor_unloaded(folder, forge, shared, command, name):
    forge("garments/1")
    (folder / ".hidden").mkdir()
    repository = Repository(folder, commands=WorkerCommands(shared))
    before = list(shared.iterdir())

    with pytest.raises(UnknownModel, match=r"Models: garments\."):
        command(repository, name)

    assert list(shared.iterdir()) == before


def test_a_new_model_is_unknown_while_the_folder_cannot_be_read(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    shutil.rmtree(folder)

    with pytest.raises(UnknownModel, match=r"Models: garments\."):
        repository.load("hats")


def test_a_command_to_one_worker_is_carried_out_by_the_others(folder, forge, shared):
    forge("garments/1")
    one, other = (Repository(folder, commands=WorkerCommands(shared)) for _ in range(2))

    one.unload("garments")
    assert answering(other) == "1"
    other.run_commands()
    assert "was unloaded" in answering(other)

    other.load("garments")
    one.run_commands()
    assert answering(one) == "1"


def test_a_command_is_carried_out_once(folder, forge, shared):
    forge("garments/1").write_bytes(b"")
    events = []
    one = Repository(folder, commands=WorkerCommands(shared), on_load=events.append)
    WorkerCommands(shared).publish("garments", "load")

    for _ in range(3):
        one.run_commands()

    assert len(events) == 2


def test_a_worker_that_starts_later_carries_out_earlier_commands(folder, forge, shared):
    forge("garments/1")
    Repository(folder, commands=WorkerCommands(shared)).unload("garments")

    assert "was unloaded" in answering(Repository(folder, commands=WorkerCommands(shared)))


@pytest.fixture
def worker(shared):
    """Start another process, which has not acknowledged any command."""
    WorkerCommands(shared)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (shared / f"{ACK_PREFIX}{process.pid}").write_text("{}")
    yield process
    process.communicate(timeout=20)


def test_a_command_waits_until_the_other_workers_have_acknowledged_it(shared, worker):
    commands = WorkerCommands(shared)
    commands.publish("garments", UNLOAD)
    token = commands.read()["garments"].token
    acknowledge = threading.Timer(
        0.2, (shared / f"{ACK_PREFIX}{worker.pid}").write_text, [f'{{"garments": "{token}"}}']
    )

    started = time.monotonic()
    acknowledge.start()

    assert commands.wait("garments")
    assert time.monotonic() - started >= 0.2


def test_a_worker_that_does_not_acknowledge_in_time_is_logged(folder, forge, shared, worker, caplog):
    forge("garments/1")

    Repository(folder, commands=WorkerCommands(shared, ack_timeout=0.1)).unload("garments")

    assert "unload garments: some workers have not finished within 0.1 s" in caplog.text


def test_a_worker_that_has_ended_is_not_waited_for(shared, worker):
    commands = WorkerCommands(shared)
    worker.communicate(timeout=20)
    commands.publish("garments", UNLOAD)

    assert commands.wait("garments")
    assert not (shared / f"{ACK_PREFIX}{worker.pid}").exists()


def test_a_process_of_another_user_that_has_a_workers_id_now_is_not_waited_for(shared, worker, monkeypatch):
    def refuse(*_):
        raise PermissionError

    commands = WorkerCommands(shared)
    commands.publish("garments", UNLOAD)
    monkeypatch.setattr(os, "kill", refuse)  # as the system does, unless this is root

    assert commands.wait("garments")
    assert not (shared / f"{ACK_PREFIX}{worker.pid}").exists()


def test_a_service_of_one_process_leaves_no_folder_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    commands = WorkerCommands()
    assert len(list(tmp_path.iterdir())) == 1

    del commands

    assert list(tmp_path.iterdir()) == []


def test_commands_outlive_the_folder_that_they_were_published_in(folder, forge, shared):
    forge("garments/1")
    forge("things/1")
    one, other = (Repository(folder, commands=WorkerCommands(shared)) for _ in range(2))
    one.unload("garments")
    other.run_commands()
    shutil.rmtree(shared)

    one.run_commands()
    one.unload("things")
    other.run_commands()

    later = Repository(folder, commands=WorkerCommands(shared))
    for repository in (one, other, later):
        assert "was unloaded" in answering(repository)
        assert "was unloaded" in answering(repository, "things")
