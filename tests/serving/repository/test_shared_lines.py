"""Workers share lines, and take turns; without room for a line each goes on with its own."""

import threading

from serving.repository.shared_lines import SharedLines


def test_each_reads_the_lines_of_all(tmp_path):
    one, other = (SharedLines(tmp_path / "lines") for _ in range(2))
    one.add("a")
    other.add("b")

    assert {"a", "b"} <= {*one.read()}
    assert {"a", "b"} <= {*other.read()}


def test_without_room_a_worker_keeps_its_own_lines(tmp_path):
    lines = SharedLines(tmp_path / "missing" / "lines")
    with lines.locked():
        lines.add("a")

    assert lines.read() == ["a"]


def test_a_line_that_was_cut_off_within_a_character_hides_no_other(tmp_path):
    (tmp_path / "lines").write_bytes("\né".encode()[:-1])
    lines = SharedLines(tmp_path / "lines")
    lines.add("été")

    assert "été" in SharedLines(tmp_path / "lines").read()


def test_they_take_turns(tmp_path):
    one, other = (SharedLines(tmp_path / "lines") for _ in range(2))
    order = []

    def wait():
        with other.locked():
            order.append("other")

    with one.locked():
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.1)
        order.append("one")
    waiting.join()

    assert order == ["one", "other"]
