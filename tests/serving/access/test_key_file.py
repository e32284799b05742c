"""The file of keys: what stands in it, what is refused, and how its changes take effect."""

import hashlib

import pytest

from serving.access import key_file
from serving.access.key_file import KeyFile, KeyFileError, read_keys


def digest(key):
    return hashlib.sha256(key.encode()).digest()


def line(name, key, *scopes):
    return f"{name} {digest(key).hex()} {','.join(scopes)}\n"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return the path of a file of keys, which is read again for each request."""
    monkeypatch.setattr(key_file, "READ_INTERVAL", 0)
    return tmp_path / "keys.txt"


def test_a_key_is_found_by_its_digest_with_its_name_and_scopes(path):
    path.write_text(line("ann", "one") + line("ben", "two", "metrics", "admin"))
    keys = KeyFile(path)

    assert (keys.find(digest("one")).name, keys.find(digest("one")).scopes) == ("ann", {"classify"})
    assert (keys.find(digest("two")).name, keys.find(digest("two")).scopes) == ("ben", {"metrics", "admin"})
    assert keys.find(digest("three")) is keys.find(b"") is None


def test_a_key_whose_digest_only_begins_like_anothers_is_not_that_key(path):
    path.write_text(line("ann", "one"))

    assert KeyFile(path).find(digest("one")[:-1] + b"?") is None


def test_empty_lines_comments_capitals_and_a_windows_editor_change_nothing(path):
    capitals = digest("one").hex().upper()
    path.write_bytes(f"\ufeff# keys\r\n\r\n  ann\tsha256:{capitals}  classify, metrics # her laptop\r\n".encode())

    (key,) = read_keys(path).values()

    assert (key.name, key.scopes) == ("ann", {"classify", "metrics"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"ann\n", "line 1: the second word is not the SHA-256 of a key"),
        (b"# keys\nann secret-key\n", "line 2: the second word is not the SHA-256 of a key"),
        (f"a/b {'0' * 64}".encode(), "line 1: its first word is not a name"),
        (f"ann {'0' * 64} write".encode(), r"line 1: 'write' is not a scope. Scopes: classify, metrics, admin"),
        (f"ann {'0' * 64} secret-key".encode(), "line 1: one of the words after the SHA-256 is not a scope"),
        (f"ann {'0' * 64}\nben {'0' * 64}".encode(), "line 2: the key of 'ben' has a line already"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_broken_file_is_refused_with_line_and_reason_and_without_what_may_be_a_key(path, content, reason):
    path.write_bytes(content)

    with pytest.raises(KeyFileError, match=reason) as refused:
        read_keys(path)
    assert "secret-key" not in str(refused.value)


def test_a_removed_key_fails_and_an_added_one_works(path):
    path.write_text(line("ann", "one"))
    keys = KeyFile(path)

    path.write_text(line("ben", "two"))

    assert keys.find(digest("one")) is None
    assert keys.find(digest("two")).name == "ben"


@pytest.mark.parametrize("breakage", ["ann", None])
def test_while_the_file_is_broken_the_keys_before_stay_in_force_and_the_log_says_so_once(path, caplog, breakage):
    path.write_text(line("ann", "one"))
    keys = KeyFile(path)
    path.write_text(breakage) if breakage else path.unlink()

    assert [keys.find(digest("one")).name for _ in range(3)] == ["ann"] * 3
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert record.getMessage().endswith("; the keys read before stay in force: 1")

    path.write_text(line("ann", "one"))
    keys.find(digest("one"))
    path.write_text("")
    assert keys.find(digest("one")) is None


def test_a_file_that_breaks_again_after_it_was_mended_is_logged_again(path, caplog):
    path.write_text(line("ann", "one"))
    keys = KeyFile(path)

    for content in ("ann", line("ann", "one"), "ann"):
        path.write_text(content)
        keys.refresh()

    assert [record.levelname for record in caplog.records].count("ERROR") == 2


def test_a_file_that_is_broken_from_the_start_allows_nobody(path, caplog):
    path.write_text("one")

    assert KeyFile(path).find(digest("one")) is None
    assert "line 1" in caplog.text
