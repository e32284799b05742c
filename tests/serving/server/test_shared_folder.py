"""The folder that the workers share."""

import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.server.shared_folder import (
    ROOM_BYTES,
    leave_shared_folder,
    make_shared_folder,
    remove_shared_folder,
    restore_shared_folder,
    temporary_folders,
    with_room,
)
from serving.settings import SHARED_FOLDER_VARIABLE, shared_folder


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process have more bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv(SHARED_FOLDER_VARIABLE, "")


def test_the_first_folder_with_room_is_taken(tmp_path):
    assert with_room([tmp_path / "missing", tmp_path], ROOM_BYTES) == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_not_taken(tmp_path):
    with largest_file(ROOM_BYTES // 2):
        assert with_room([tmp_path], ROOM_BYTES) is None
        assert with_room([tmp_path], ROOM_BYTES // 4) == tmp_path


def test_where_no_folder_takes_files_there_is_none_of_temporary_files(monkeypatch):
    assert [*temporary_folders()] == [Path(tempfile.gettempdir())]

    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked for once
    with largest_file(0):
        assert [*temporary_folders()] == []


def test_the_folder_is_made_for_the_processes_to_come_and_removed(tmp_path):
    left = tmp_path / "thimble-shared-1-left"
    left.mkdir()

    make_shared_folder(tmp_path)
    folder = shared_folder()

    assert [*tmp_path.iterdir()] == [folder]
    remove_shared_folder()
    assert not folder.exists()


@pytest.mark.parametrize("restored", [False, True])
def test_the_folder_of_another_service_with_the_same_process_id_stays(tmp_path, restored):
    """As in containers that share their memory; here one process stands for both."""
    make_shared_folder(tmp_path)
    used = shared_folder()
    if restored:
        used.rmdir()
        restore_shared_folder()

    make_shared_folder(tmp_path)

    assert used.exists()
    assert shared_folder() != used


def test_a_folder_that_was_removed_is_made_again_for_this_user_alone(tmp_path):
    make_shared_folder(tmp_path)
    assert not restore_shared_folder()
    shared_folder().rmdir()

    assert restore_shared_folder()
    assert shared_folder().stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_again_is_not_said_to_be_there(tmp_path):
    (tmp_path / "run").mkdir()
    make_shared_folder(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")

    assert not restore_shared_folder()


def test_without_room_nothing_is_shared():
    make_shared_folder(None)

    assert shared_folder() is None
    assert not restore_shared_folder()
    remove_shared_folder()
    leave_shared_folder()
