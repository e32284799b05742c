"""The command that makes keys."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from serving.access.key_file import KeyFile
from serving.keys import main

FULL = Path("/dev/full")


@pytest.mark.parametrize(
    ("options", "scopes"),
    [
        ([], {"classify"}),
        (["--scope", "metrics,admin"], {"metrics", "admin"}),
        (["--scope", "metrics", "--scope", "admin"], {"metrics", "admin"}),
    ],
)
def test_a_new_key_is_printed_with_the_line_that_allows_it(tmp_path, capsys, options, scopes):
    assert main(["new", "ann", *options]) == 0

    key, line = capsys.readouterr().out.splitlines()
    file = tmp_path / "keys.txt"
    file.write_text(line)
    found = KeyFile(file).find(hashlib.sha256(key.encode()).digest())
    assert (found.name, found.scopes) == ("ann", scopes)
    assert key not in line


def test_no_two_keys_are_the_same(capsys):
    for _ in range(2):
        main(["new", "ann"])

    printed = capsys.readouterr().out.splitlines()
    assert len({*printed}) == 4


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
def test_a_key_that_cannot_be_written_is_not_made():
    with FULL.open("w") as full:
        done = subprocess.run([sys.executable, "-m", "serving.keys", "new", "ann"], stdout=full, stderr=subprocess.PIPE)

    assert done.returncode == 1
    assert done.stderr.endswith(b"serving.keys: the key cannot be written: No space left on device; make another\n")


@pytest.mark.parametrize("arguments", [["new", "a b"], ["new", "ann", "--scope", "write"], ["new"], []])
def test_a_wrong_command_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
