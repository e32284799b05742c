"""Models are reloaded when their folder changes, while they answer."""

import os
import shutil
import weakref

import numpy as np
import onnx
import pytest
from cards import read_card
from polling import wait_until

from serving.errors import NoModel, UnknownModel
from serving.repository.repository import Repository

LINKS = "..data"  # Kubernetes replaces a volume by changing one link, through which all others go


@pytest.fixture
def events():
    return []


@pytest.fixture
def start(folder, events):
    """Return a maker of a repository that records its events."""
    return lambda: Repository(folder, on_load=events.append)


def poll_twice(repository):
    repository.poll()
    repository.poll()


def answering(repository, name="garments"):
    return repository.named(name).card.version


def other_golden(folder):
    """Return golden samples that a sound graph answers differently."""
    golden = read_card(onnx.load(folder / "garments/1/model.onnx"))["golden"]
    return [{**sample, "probabilities": sample["probabilities"][::-1]} for sample in golden]


BAD_VERSIONS = {
    "half a file": lambda forge, folder: halve(forge("garments/2")),
    "another card": lambda forge, folder: forge("garments/2", schema=2),
    "wrong answers": lambda forge, folder: forge("garments/2", golden=other_golden(folder)),
    "no file": lambda forge, folder: (folder / "garments/2").mkdir(),
    "a folder": lambda forge, folder: (folder / "garments/2/model.onnx").mkdir(parents=True),
    "a pipe": lambda forge, folder: os.mkfifo(make_parent(folder / "garments/2/model.onnx")),
    "a device": lambda forge, folder: make_parent(folder / "garments/2/model.onnx").symlink_to("/dev/zero"),
    "a circular link": lambda forge, folder: make_parent(folder / "garments/2/model.onnx").symlink_to("model.onnx"),
    "a circular link of folders": lambda forge, folder: (folder / "garments/2").symlink_to("2"),
    "a link that leads nowhere": lambda forge, folder: (folder / "garments/2").symlink_to("nowhere"),
    "a file of terabytes": lambda forge, folder: os.truncate(forge("garments/2"), 2**42),
}


def halve(path):
    os.truncate(path, path.stat().st_size // 2)


def make_parent(path):
    path.parent.mkdir()
    return path


@pytest.mark.parametrize("way", BAD_VERSIONS)
def test_a_bad_new_version_is_reported_once_while_the_old_one_answers(start, forge, folder, events, caplog, way):
    forge("garments/1")
    repository = start()
    BAD_VERSIONS[way](forge, folder)

    for _ in range(4):
        repository.poll()

    reason = repository.find("garments").files["2"].reason
    assert answering(repository) == "1"
    assert "garments/2/model.onnx: " in reason
    assert caplog.text.count(reason) == 1
    assert [(event.version, event.reason) for event in events] == [("1", None), ("2", reason)]


def test_a_bad_version_answers_once_it_is_repaired(start, forge, folder):
    forge("garments/1")
    path = forge("garments/2")
    whole = path.read_bytes()
    halve(path)
    repository = start()

    path.write_bytes(whole)
    poll_twice(repository)

    assert answering(repository) == "2"
    assert repository.find("garments").reason is None


def test_a_new_version_answers_once_two_scans_agree(start, forge):
    forge("garments/1")
    repository = start()
    forge("garments/2")

    repository.poll()
    assert answering(repository) == "1"

    repository.poll()
    assert answering(repository) == "2"
    assert repository.find("garments").versions == ("1", "2")


def test_a_file_that_still_grows_is_not_opened(start, forge, events):
    forge("garments/1")
    repository = start()
    path = forge("garments/2")
    whole = path.read_bytes()

    for length in (1000, 200_000, len(whole)):
        path.write_bytes(whole[:length])
        repository.poll()

    assert len(events) == 1
    repository.poll()
    assert answering(repository) == "2"


def test_a_model_that_is_being_written_does_not_delay_another(start, forge):
    forge("garments/1")
    repository = start()
    forge("shoes/1")
    path = forge("garments/2")

    repository.poll()
    os.truncate(path, 1000)
    repository.poll()

    assert answering(repository, "shoes") == "1"
    assert answering(repository) == "1"


def test_a_new_model_may_become_the_default(start, forge):
    repository = start()
    forge("garments/1")

    poll_twice(repository)

    assert repository.default(grey=True) is repository.named("garments")


def test_the_next_highest_version_answers_when_the_highest_is_removed(start, forge, folder):
    forge("garments/1")
    forge("garments/2")
    repository = start()
    in_flight = repository.named("garments")

    shutil.rmtree(folder / "garments/2")
    poll_twice(repository)

    assert answering(repository) == "1"
    assert in_flight.classify(np.zeros((1, 28, 28, 1), np.uint8)).shape == (1, 10)
    with pytest.raises(UnknownModel, match=r"no version '2'\. Versions: 1\."):
        repository.named("garments", "2")


def test_a_removed_model_is_unknown(start, forge, folder):
    forge("garments/1")
    forge("shoes/1")
    repository = start()

    shutil.rmtree(folder / "garments")
    poll_twice(repository)

    assert list(repository.models) == ["shoes"]
    with pytest.raises(UnknownModel, match=r"Models: shoes\."):
        repository.named("garments")


def test_a_removed_file_no_longer_answers_though_its_folder_is_there(start, forge):
    path = forge("garments/1")
    repository = start()

    path.unlink()
    poll_twice(repository)

    with pytest.raises(NoModel, match=r"garments/1/model\.onnx: cannot be read: No such file"):
        repository.named("garments")


def test_a_replaced_file_answers_under_its_own_digest(start, forge, folder):
    forge("garments/1")
    repository = start()
    before = repository.named("garments")

    shutil.rmtree(folder / "garments/1")
    forge("garments/1", title="Another")
    poll_twice(repository)

    after = repository.named("garments")
    assert after.card.title == "Another"
    assert after.digest != before.digest


def test_the_previous_file_answers_when_its_replacement_is_bad(start, forge):
    path = forge("garments/1")
    repository = start()
    before = repository.named("garments")

    halve(path)
    poll_twice(repository)

    assert repository.named("garments") is before
    assert "garments/1/model.onnx: it is not a whole ONNX file" in repository.find("garments").reason


def test_rewriting_the_same_bytes_does_not_reload_them(start, forge, events):
    path = forge("garments/1")
    repository = start()
    before = repository.named("garments")

    path.write_bytes(path.read_bytes())
    poll_twice(repository)

    assert repository.named("garments") is before
    assert len(events) == 1


def test_a_volume_that_is_replaced_by_one_link_is_reloaded(folder, forge):
    for number in ("1", "2"):
        forge(f"{number}/1", name="garments", title=f"The {number}.")
    volume = folder / "volume"
    volume.mkdir()
    (volume / LINKS).symlink_to(folder / "1")
    (volume / "garments").symlink_to(f"{LINKS}/.")
    repository = Repository(volume)
    assert repository.named("garments").card.title == "The 1."

    (volume / "new").symlink_to(folder / "2")
    (volume / "new").replace(volume / LINKS)
    poll_twice(repository)

    assert repository.named("garments").card.title == "The 2."


def test_all_models_stay_while_the_folder_cannot_be_read(start, forge, folder, caplog):
    forge("garments/1")
    repository = start()

    folder.rename(folder.with_name("away"))
    for _ in range(3):
        repository.poll()
    assert answering(repository) == "1"
    assert caplog.text.count("models: cannot be read: No such file or directory") == 1

    folder.with_name("away").rename(folder)
    forge("garments/2")
    poll_twice(repository)
    assert answering(repository) == "2"


@pytest.mark.parametrize(
    ("target", "reason"),
    [("garments", "Too many levels of symbolic links"), ("unmounted", "No such file or directory")],
)
def test_a_model_stays_while_its_own_folder_cannot_be_read(start, forge, folder, target, reason):
    forge("garments/1")
    repository = start()

    (folder / "garments").rename(folder / ".garments")
    (folder / "garments").symlink_to(target)  # which even root cannot follow
    poll_twice(repository)
    assert answering(repository) == "1"
    assert f"garments: cannot be read: {reason}" in repository.find("garments").reason

    (folder / "garments").unlink()
    (folder / ".garments").rename(folder / "garments")
    poll_twice(repository)
    assert repository.find("garments").reason is None


def test_a_folder_with_an_invalid_name_is_reported_once(start, folder, caplog):
    (folder / "my models").mkdir()
    (folder / os.fsdecode(b"\xff")).mkdir()
    repository = start()
    poll_twice(repository)

    assert repository.models == {}
    assert caplog.text.count("my models': not a model's name") == 1
    assert caplog.text.count(r"\udcff': not a model's name") == 1


def test_a_version_that_no_longer_answers_frees_its_memory(start, forge):
    forge("garments/1")
    repository = start()
    before = weakref.ref(repository.named("garments"))

    forge("garments/2")
    poll_twice(repository)

    wait_until(lambda: before() is None)  # the thread that loads files lets go of its last work a little later
    assert repository.find("garments").files["1"].state == "idle"


def test_a_probe_of_readiness_keeps_no_replaced_version_in_memory(start, forge):
    forge("garments/1")
    repository = start()
    before = weakref.ref(repository.named("garments"))
    repository.check_ready()

    forge("garments/2")
    poll_twice(repository)

    wait_until(lambda: before() is None)


def test_a_version_that_a_client_named_stays_loaded(start, forge):
    forge("garments/1")
    forge("garments/2")
    repository = start()
    named = repository.named("garments", "1")

    forge("garments/3")
    poll_twice(repository)

    assert repository.named("garments", "1") is named


def test_a_version_that_a_client_named_is_reloaded_too(start, forge, folder):
    forge("garments/1")
    forge("garments/2")
    repository = start()
    repository.named("garments", "1")

    shutil.rmtree(folder / "garments/1")
    forge("garments/1", title="Another")
    poll_twice(repository)

    assert repository.named("garments", "1").card.title == "Another"


def test_an_idle_version_is_loaded_from_its_current_file(start, forge, folder):
    forge("garments/1")
    forge("garments/2")
    repository = start()

    shutil.rmtree(folder / "garments/1")
    forge("garments/1", title="Another")
    poll_twice(repository)

    assert repository.named("garments", "1").card.title == "Another"


def test_the_answering_versions_are_logged_when_they_change(start, forge, caplog):
    caplog.set_level("INFO")
    forge("garments/1")
    repository = start()

    forge("garments/2")
    for _ in range(4):
        repository.poll()

    assert [record.message for record in caplog.records] == ["models ready: garments:1", "models ready: garments:2"]
