"""The command that makes keys."""

import hashlib

import pytest

from serving.access.key_file import KeyFile
from serving.keys import main


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


@pytest.mark.parametrize("arguments", [["new", "a b"], ["new", "ann", "--scope", "write"], ["new"], []])
def test_a_wrong_command_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
