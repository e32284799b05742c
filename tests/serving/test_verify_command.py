"""The command that verifies signed model files."""

import os
import shutil
import subprocess
import sys

import pytest
from signing import make_key, sign

from serving.verify import main


@pytest.fixture
def public(tmp_path):
    return make_key(tmp_path, "key")


@pytest.fixture
def verify(public, capsys):
    """Return the command with the key; it returns the exit status and what was printed."""
    return lambda *paths: (main(["--key", str(public), *map(str, paths)]), capsys.readouterr().out)


def test_a_signed_file_and_the_folders_around_it_are_verified(verify, forge, public, folder):
    path = sign(forge("garments/1"), public)

    for place in (path, path.parent, path.parent.parent, folder):
        status, printed = verify(place)
        assert status == 0
        assert printed.startswith(f"{path}: signed: 'garments' version 1, sha256:")


def test_drafts_and_withdrawn_versions_which_are_not_served_are_left_out(verify, forge, public, folder):
    path = sign(forge("garments/1"), public)
    for hidden in (".draft", ".withdrawn"):
        shutil.copytree(path.parent, folder / "garments" / hidden / "2")
    shutil.copytree(folder / "garments", folder / ".garments-being-written")

    for place in (folder / "garments", folder):
        status, printed = verify(place)
        assert status == 0
        assert len(printed.splitlines()) == 1


def test_one_bad_file_among_others_is_named(verify, forge, public, folder):
    sign(forge("garments/1"), public)
    forge("garments/2")

    status, printed = verify(folder)

    assert status == 1
    assert "garments/1/model.onnx: signed: 'garments'" in printed
    assert "garments/2/model.onnx: it is not signed: " in printed


def test_a_tampered_byte_is_found(verify, forge, public):
    path = sign(forge("garments/1"), public)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    assert verify(path)[0] == 1


def test_another_keys_file_is_refused(verify, forge, tmp_path):
    assert verify(sign(forge("garments/1"), make_key(tmp_path, "other")))[0] == 1


def test_an_older_version_in_a_newer_ones_folder_is_refused(verify, forge, public):
    path = sign(forge("garments/1"), public)
    newer = shutil.copytree(path.parent, path.parent.parent / "2") / "model.onnx"

    status, printed = verify(newer)

    assert status == 1
    assert "its card says 'garments' version 1" in printed


def test_a_file_outside_a_folder_of_models_has_its_name_and_version_printed(verify, forge, public, tmp_path):
    path = sign(forge("garments/1").rename(tmp_path / "downloaded.onnx"), public)

    assert "downloaded.onnx: signed: 'garments' version 1" in verify(path)[1]


def test_a_path_that_the_terminal_cannot_show_is_escaped(public, tmp_path):
    command = [sys.executable, "-m", "serving.verify", "--key", public, bytes(tmp_path / "caf") + b"\xe9.onnx"]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}

    done = subprocess.run(command, env=strict, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (1, "")
    assert r"caf\udce9.onnx: cannot be read: " in done.stdout


def test_a_signed_file_that_breaks_the_contract_is_refused(verify, forge, public):
    status, printed = verify(sign(forge("garments/1", title=""), public))

    assert status == 1
    assert "the card is not valid: " in printed


@pytest.mark.parametrize("place", ["empty", "missing"])
def test_nothing_to_verify_is_a_failure(verify, tmp_path, place):
    (tmp_path / "empty").mkdir()

    assert verify(tmp_path / place)[0] == 1


def test_the_key_may_be_that_of_the_service(forge, public, monkeypatch):
    monkeypatch.setenv("THIMBLE_MODEL_KEY", str(public))

    assert main([str(sign(forge("garments/1"), public))]) == 0


@pytest.mark.parametrize("arguments", [["models"], ["models", "--key", "missing.pub"], []])
def test_a_wrong_command_is_refused(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2


def test_a_path_that_cannot_be_looked_at_is_reported(verify):
    status, printed = verify("x" * 300)

    assert status == 1
    assert "cannot be read: File name too long" in printed
