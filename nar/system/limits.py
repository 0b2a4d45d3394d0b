"""How much of the machine this process may have: memory and cores, as containers and batch systems limit them.

Such limits are those of the process's control groups, of version 1 or 2, and of all groups above them; a container sees
its own group as the topmost one.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

GROUPS, OWN, MEMINFO = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"), Path("/proc/meminfo")


def free_memory() -> int:
    """Bytes that this process may still take, of the machine's and of those that its control groups leave it."""
    try:
        facts = dict(line.split(":", 1) for line in _read(MEMINFO).splitlines())
        free = int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else 4 * 2**30
    for group in _groups("memory"):
        for most, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with contextlib.suppress(OSError, ValueError):  # of the other version, or "max": without a limit
                left = int(_read(group / most)) - int(_read(group / used))
                with contextlib.suppress(OSError, ValueError):  # files kept in memory as long as nobody needs it
                    stat = dict(line.split() for line in _read(group / "memory.stat").splitlines())
                    left += int(stat.get(cached, 0))
                free = min(free, max(left, 0))
    return free


def cores() -> int:
    """CPU cores that this process may use at once, at least one."""
    found = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for group in _groups("cpu"):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with contextlib.suppress(OSError, ValueError):
                quota, period = (int(word) for name in names for word in _read(group / name).split())
                if quota > 0 and period > 0:  # -1: without a limit
                    found = min(found, quota / period)
    return max(1, int(found))


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _groups(controller: str) -> Iterator[Path]:
    """The control groups of this process that limit something, each followed by those above it."""
    try:
        lines = _read(OWN).splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in [GROUPS / controllers, GROUPS / controller] if controllers else [GROUPS, GROUPS / "unified"]:
            place = PurePosixPath(path)
            yield from (mount / part.relative_to("/") for part in (place, *place.parents) if part.is_absolute())
