"""The relay of standard error: lines of JSON whatever is printed, and nobody who waits for its reader."""

import json
import subprocess
import sys

import pytest

from serving.telemetry.log_relay import MAX_TEXT_BYTES, LineSorter

RELAYED = """
import os, sys, time
from pathlib import Path
from serving.telemetry.dropped_lines import DroppedLines
from serving.telemetry.log_relay import LogRelay

relay = LogRelay(as_text={as_text})
relay.start(dropped := DroppedLines(None))
{program}
relay.stop()
print(dropped.total())
"""


def relayed(program, as_text=False):
    """Run a program whose standard error is relayed; return its end, with the number of dropped lines as its output."""
    source = RELAYED.format(program=program, as_text=as_text)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)


def sort(*pieces):
    sorter = LineSorter()
    lines = [line for piece in pieces for line in sorter.add(piece)]
    return b"".join([*lines, *sorter.end_text(cut_record=True)]).decode().splitlines()


def test_records_pass_as_they_are_however_they_are_cut():
    records = [b'{"message":"one"}', b'{"message":"two"}']

    assert sort(b"\n".join([*records, b""])) == [record.decode() for record in records]
    assert sort(records[0][:5], records[0][5:] + b"\n" + records[1], b"\n") == [record.decode() for record in records]


def test_a_traceback_among_records_becomes_one_record():
    first, second = sort(b'Traceback (most recent call last):\n{"message":"one"}\n', b'  File "x"\nKeyError: 1\n')

    assert json.loads(first) == {"message": "one"}
    record = json.loads(second)
    assert record["message"] == 'Traceback (most recent call last):\n  File "x"\nKeyError: 1'
    assert (record["level"], record["logger"]) == ("warning", "stderr")


def test_a_record_that_is_cut_by_a_long_text_stays_whole():
    record = b'{"message":"one"}'

    *text, last = sort(b"x" * (MAX_TEXT_BYTES + 1) + b"\n" + record[:5], record[5:] + b"\n")

    assert last == record.decode()
    assert len(text) == 2


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_text_without_end_is_cut_into_records(end):
    records = [json.loads(line) for line in sort(b"x" * 3 * MAX_TEXT_BYTES + b"y" + end)]

    assert len(records) == 4
    assert "".join(record["message"] for record in records) == "x" * 3 * MAX_TEXT_BYTES + "y"


def test_bytes_that_are_no_text_become_a_record():
    (line,) = sort(b"\xff\x00\n")

    assert json.loads(line)["message"] == "\ufffd\x00"


def test_whatever_processes_print_is_lines_of_json():
    done = relayed("""
import subprocess, warnings
warnings.warn("careful")
os.write(2, b"from C")
subprocess.run(["ls", "no such file"])
time.sleep(0.3)
os.write(2, b'{"message":"one"}' + bytes([10]))
if not os.fork():
    1 / 0
os.wait()
""")

    messages = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert any("UserWarning: careful" in message and "from C" in message for message in messages)
    assert any("no such file" in message for message in messages)
    assert "one" in messages
    assert "ZeroDivisionError" in messages[-1]
    assert done.stdout == "0\n"


def test_as_text_everything_passes_as_it_is():
    assert relayed("os.write(2, b'two' + bytes([10]) + b'lines')", as_text=True).stderr == "two\nlines"


@pytest.mark.trains
def test_a_reader_that_stalls_stops_nobody_and_costs_lines_that_are_counted():
    program = """
for _ in range(6_000):
    try:
        os.write(2, (b'{"message":"' + b"x" * 1_000 + b'"}' + bytes([10])))
    except BlockingIOError:
        dropped.add(1)
"""
    source = RELAYED.format(program=program, as_text=False)
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        dropped = int(process.stdout.readline())

        assert process.wait(30) == 0
        arrived = process.stderr.read().splitlines()
        assert 0 < dropped < 6_000
        assert len(arrived) < 6_000
    finally:
        process.kill()
        process.communicate()
