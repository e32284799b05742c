"""Count the processor cores that this process may use; in a container they are fewer than the machine's."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own_groups: Path = OWN_GROUPS) -> float:
    """Return the smallest of the processor affinity and the CPU quotas of this process's control groups, in cores."""
    return min([float(_affinity()), *_quotas(cgroups, own_groups)])


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def _quotas(cgroups: Path, own_groups: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of this process's control groups and all their parents, in both versions' layouts."""
    for line in _text(own_groups).splitlines():
        _, controllers, path = line.split(":", 2)
        unified = not controllers
        if not unified and "cpu" not in controllers.split(","):
            continue
        group = Path(path.strip("/"))
        for part in (group, *group.parents):
            folder = cgroups / ("" if unified else controllers) / part
            words = _text(folder / "cpu.max") if unified else _classic(folder)
            quota, _, period = words.partition(" ")
            if quota.isdecimal() and period.strip().isdecimal():  # "max" and "-1" mean no quota
                yield int(quota) / int(period)


def _classic(folder: Path) -> str:
    return f"{_text(folder / 'cpu.cfs_quota_us').strip()} {_text(folder / 'cpu.cfs_period_us').strip()}"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such control group, or not Linux
        return ""
