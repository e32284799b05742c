"""The C library's allocator: it keeps freed memory for the next tensor."""

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.trains

PROGRAM = """
    import ctypes, resource
    from training.train.allocator import keep_memory
    import torch
    {first}
    def faults(tensors):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(tensors):
            torch.empty(16 * 2**20).fill_(1.0)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    faults(15)
    print(faults(5))
"""


def page_faults(first: str) -> int:
    program = textwrap.dedent(PROGRAM).replace("{first}", first)
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_large_tensors_are_not_mapped_anew_once_memory_is_kept():
    assert page_faults("keep_memory()") < page_faults("") / 10
