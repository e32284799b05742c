"""What is asked of all workers, though one is asked: here each repository stands for a worker."""

import shutil
import subprocess
import sys
import threading
import time

import pytest

from serving.errors import NoModel, UnknownModel
from serving.repository.repository import Repository
from serving.repository.commands import DONE, UNLOAD, Orders


@pytest.fixture
def shared(tmp_path):
    return tmp_path / "orders"


def answers(repository, name="garments"):
    try:
        return repository.named(name).card.version
    except UnknownModel as refusal:
        return str(refusal)


def test_an_unloaded_model_is_unknown_and_says_why_it_does_not_answer(folder, forge):
    forge("garments/1")
    forge("garments/2")
    repository = Repository(folder)

    model = repository.unload("garments")

    assert answers(repository) == "The model 'garments' was unloaded; an operator can load it again."
    assert (model.classifier, model.reason) == (None, "unloaded")
    assert [version.state for version in model.files.values()] == ["unavailable", "unavailable"]
    with pytest.raises(UnknownModel, match="was unloaded"):
        repository.named("garments", "1")
    with pytest.raises(NoModel, match="No model is loaded that answers greyscale"):
        repository.default(grey=True)


def test_an_unloaded_model_stays_so_whatever_happens_to_its_folder(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    repository.unload("garments")

    forge("garments/2")
    for _ in range(3):
        repository.poll()

    assert "was unloaded" in answers(repository)
    assert repository.find("garments").versions == ("1", "2")


def test_a_model_whose_folder_cannot_be_read_can_be_unloaded(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    shutil.rmtree(folder / "garments")
    (folder / "garments").symlink_to("garments")
    repository.poll()
    assert answers(repository) == "1"

    assert repository.unload("garments").unloaded

    repository.poll()
    assert "was unloaded" in answers(repository)


def test_unloading_is_no_error_in_the_log(folder, forge, caplog):
    forge("garments/1")

    Repository(folder).unload("garments")

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_loaded_model_answers_again_in_its_version_of_now(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    repository.unload("garments")
    forge("garments/2")

    model = repository.load("garments")

    assert model.classifier.card.version == answers(repository) == "2"


def test_a_load_takes_up_a_new_model_at_once(folder, forge):
    repository = Repository(folder)
    forge("garments/1")

    repository.load("garments")

    assert answers(repository) == "1"


def test_a_load_leaves_other_models_as_they_are(folder, forge):
    forge("garments/1")
    forge("shoes/1")
    repository = Repository(folder)
    forge("garments/2")
    forge("shoes/2")

    repository.load("garments")

    assert (answers(repository), answers(repository, "shoes")) == ("2", "1")


def test_a_load_tries_what_was_refused_once_more(folder, forge, monkeypatch):
    forge("garments/1")
    monkeypatch.setattr("serving.model.classifier.GOLDEN_TOLERANCE", -1.0)  # as if memory had failed for a moment
    repository = Repository(folder)
    monkeypatch.undo()
    repository.poll()
    assert repository.find("garments").classifier is None

    repository.load("garments")

    assert answers(repository) == "1"


def test_a_model_that_cannot_be_loaded_says_why(folder, forge):
    forge("garments/1").write_bytes(b"")
    repository = Repository(folder)

    with pytest.raises(NoModel, match=r"'garments' cannot be served: .*garments/1/model\.onnx: onnxruntime cannot"):
        repository.load("garments")


@pytest.mark.parametrize("name", ["hats", "", ".", "..", "../models/garments", ".hidden", "garments/1", "a\0b"])
@pytest.mark.parametrize("order", [Repository.load, Repository.unload])
def test_what_is_no_model_is_neither_loaded_nor_unloaded(folder, forge, shared, order, name):
    forge("garments/1")
    (folder / ".hidden").mkdir()
    repository = Repository(folder, orders=Orders(shared))
    before = list(shared.iterdir())

    with pytest.raises(UnknownModel, match="there are: garments"):
        order(repository, name)

    assert list(shared.iterdir()) == before


def test_nothing_is_ordered_while_the_folder_cannot_be_read(folder, forge):
    forge("garments/1")
    repository = Repository(folder)
    shutil.rmtree(folder)

    with pytest.raises(UnknownModel, match="there are: garments"):
        repository.load("hats")


def test_an_order_to_one_worker_is_done_by_the_others(folder, forge, shared):
    forge("garments/1")
    one, other = (Repository(folder, orders=Orders(shared)) for _ in range(2))

    one.unload("garments")
    assert answers(other) == "1"
    other.obey()
    assert "was unloaded" in answers(other)

    other.load("garments")
    one.obey()
    assert answers(one) == "1"


def test_an_order_is_done_once(folder, forge, shared):
    forge("garments/1").write_bytes(b"")
    loadings = []
    one = Repository(folder, orders=Orders(shared), heard=loadings.append)
    Orders(shared).give("garments", "load")

    for _ in range(3):
        one.obey()

    assert len(loadings) == 2


def test_a_worker_that_starts_later_knows_what_was_ordered(folder, forge, shared):
    forge("garments/1")
    Repository(folder, orders=Orders(shared)).unload("garments")

    assert "was unloaded" in answers(Repository(folder, orders=Orders(shared)))


@pytest.fixture
def worker(shared):
    """Another living process that has done nothing yet."""
    Orders(shared)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (shared / f"{DONE}{process.pid}").write_text("{}")
    yield process
    process.communicate(timeout=20)


def test_whoever_orders_waits_for_the_other_workers(shared, worker):
    orders = Orders(shared)
    orders.give("garments", UNLOAD)
    token = orders.read()["garments"].token
    done = threading.Timer(0.2, (shared / f"{DONE}{worker.pid}").write_text, [f'{{"garments": "{token}"}}'])

    started = time.monotonic()
    done.start()

    assert orders.wait("garments")
    assert time.monotonic() - started >= 0.2


def test_whoever_orders_does_not_wait_for_ever(folder, forge, shared, worker, monkeypatch, caplog):
    monkeypatch.setattr("serving.repository.commands.PATIENCE", 0.1)
    forge("garments/1")

    Repository(folder, orders=Orders(shared)).unload("garments")

    assert "unload garments: not all workers have done it" in caplog.text


def test_the_dead_are_not_waited_for(shared, worker):
    orders = Orders(shared)
    worker.communicate(timeout=20)
    orders.give("garments", UNLOAD)

    assert orders.wait("garments")
    assert not (shared / f"{DONE}{worker.pid}").exists()


def test_a_service_of_one_process_leaves_no_folder_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    orders = Orders()
    assert len(list(tmp_path.iterdir())) == 1

    del orders

    assert list(tmp_path.iterdir()) == []
