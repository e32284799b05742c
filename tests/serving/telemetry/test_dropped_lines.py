"""The count of dropped log lines."""

import subprocess
import sys

from prometheus_client import CollectorRegistry, generate_latest

from serving.telemetry.dropped_lines import DroppedLines
from serving.telemetry.metrics import DroppedLinesCounter

WITHOUT_STDERR = """
import os
from serving.api.request_log import write_to_stderr
from serving.telemetry.dropped_lines import DroppedLines

dropped = DroppedLines(None)
os.close(2)
write_to_stderr(dropped, b"one\\ntwo\\n")
print(dropped.total())
"""


def test_a_process_alone_counts_in_memory():
    dropped = DroppedLines(None)

    dropped.add(2)
    dropped.add(3)

    assert dropped.total() == 5


def test_all_processes_count_together(tmp_path):
    program = (
        f"from pathlib import Path; from serving.telemetry.dropped_lines import DroppedLines as D; "
        f"D(Path({str(tmp_path)!r})).add(4)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    dropped = DroppedLines(tmp_path)

    dropped.add(2)
    dropped.add(3)

    assert dropped.total() == 9


def test_without_its_folder_nothing_is_counted_and_nothing_fails(tmp_path):
    dropped = DroppedLines(tmp_path / "removed")

    dropped.add(1)

    assert dropped.total() == 0


def test_the_metrics_have_the_count():
    registry, dropped = CollectorRegistry(), DroppedLines(None)
    registry.register(DroppedLinesCounter(dropped))

    dropped.add(7)

    assert b"thimble_log_dropped_lines_total 7.0" in generate_latest(registry)


def test_lines_of_requests_that_cannot_be_written_are_counted():
    done = subprocess.run([sys.executable, "-c", WITHOUT_STDERR], capture_output=True, text=True, check=True)

    assert done.stdout == "2\n"
