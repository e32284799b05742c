"""The C library's allocator: it keeps freed memory for the next tensor."""

import subprocess
import sys
import textwrap

import pytest
from unmeasured import unmeasured

pytestmark = pytest.mark.trains

PROGRAM = """
    import ctypes, resource
    from training.train.allocator import keep_memory
    import torch
    def faults(tensors):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(tensors):
            torch.empty(16 * 2**20).fill_(1.0)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    faults(2)
    print(faults(5))
    keep_memory()
    faults(15)
    print(faults(5))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_large_tensors_are_not_mapped_anew_once_memory_is_kept():
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]

    printed = subprocess.run(command, env=unmeasured(), capture_output=True, text=True, check=True).stdout

    without, kept = map(int, printed.split())
    assert kept < without / 10
