"""Settings of the C library's allocator, which on a processor decide half the speed of training small networks."""

import ctypes
import sys

# Of glibc's malloc.h. By default every tensor over 32 MB is mapped and unmapped anew, page by page, at each step.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1
TOP_PAD = 256 * 2**20


def keep_memory() -> None:
    """Have the C library keep freed memory for the next tensor; does nothing without glibc."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, NEVER)
        libc.mallopt(M_TOP_PAD, TOP_PAD)
