"""Memory and cores are those of the process's own control group, of either version, and of the groups above it."""

import pytest

from nar.system import limits

GB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 GB and 8 cores; files of control groups are written into it."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {64 * 2**20} kB\n")
    monkeypatch.setattr(limits, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(limits, "OWN", tmp_path / "own")
    monkeypatch.setattr(limits, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def write(own, **files):
        (tmp_path / "own").write_text(own)
        for path, text in files.items():
            file = tmp_path / "groups" / path.replace("__", "/").replace("_max", ".max").replace("_current", ".current")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(text))
        return tmp_path / "groups"

    return write


def test_without_groups_there_is_the_whole_machine(machine):
    assert (limits.free_memory(), limits.cores()) == (64 * GB, 8)
    machine("0::/a\n", a__memory_max="max", a__memory_current=5, a__cpu_max="max 100000")
    assert (limits.free_memory(), limits.cores()) == (64 * GB, 8)


def test_the_own_group_and_those_above_it_count(machine):
    machine("0::/job/step\n", job__step__memory_max=6 * GB, job__step__memory_current=2 * GB)
    assert limits.free_memory() == 4 * GB
    root = machine("0::/job/step\n", job__memory_max=3 * GB, job__memory_current=2 * GB, job__cpu_max="250000 100000")
    assert (limits.free_memory(), limits.cores()) == (GB, 2)
    (root / "job" / "memory.stat").write_text(f"anon 1\ninactive_file {GB // 2}\n")
    assert limits.free_memory() == GB + GB // 2  # what is only cached is given back when it is needed
    machine("0::/elsewhere\n", cpu_max="50000 100000")  # a container, whose own group is the topmost
    assert limits.cores() == 1


def test_version_1(machine):
    root = machine("3:cpu,cpuacct:/docker/x\n2:memory:/docker/x\n1:name=systemd:/\n")
    for place, files in {
        "memory": {"memory.limit_in_bytes": 8 * GB, "memory.usage_in_bytes": 3 * GB},
        "cpu,cpuacct/docker/x": {"cpu.cfs_quota_us": 300000, "cpu.cfs_period_us": 100000},
        "cpu": {"cpu.cfs_quota_us": -1, "cpu.cfs_period_us": 100000},
    }.items():
        (root / place).mkdir(parents=True)
        for name, value in files.items():
            (root / place / name).write_text(f"{value}\n")
    assert (limits.free_memory(), limits.cores()) == (5 * GB, 3)
