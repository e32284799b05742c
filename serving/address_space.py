"""This process's address space, and a limit to it. On Linux alone: macOS counts otherwise."""

import resource
from pathlib import Path

MEMORY = Path("/proc/self/statm")  # its first number: pages of address space


def used() -> int:
    """Return the bytes of address space that this process has; 0 outside Linux."""
    return int(MEMORY.read_text().split()[0]) * resource.getpagesize() if MEMORY.exists() else 0


def limit(size: int) -> None:
    """Limit it to this many bytes, or to as many as this process may have."""
    if MEMORY.exists():
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size if most == resource.RLIM_INFINITY else min(size, most), most))


def lift_limit() -> None:
    """Let it grow to what this process may have."""
    if MEMORY.exists():
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
