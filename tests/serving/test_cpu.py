"""The usable cores under quotas of control groups, in both versions' layouts."""

import pytest

from serving.cpu import usable_cores


@pytest.fixture
def cores(tmp_path):
    """Return a reader of the usable cores for these files of control groups and own groups."""

    def read(own_groups, files):
        for name, content in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        own = tmp_path / "own"
        own.write_text(own_groups)
        return usable_cores(tmp_path / "cgroup", own)

    return read


@pytest.fixture
def all_cores(tmp_path):
    return usable_cores(tmp_path / "none", tmp_path / "none")


@pytest.mark.parametrize(
    ("own_groups", "files", "quota"),
    [
        pytest.param("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5, id="v2 in a container"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "25000 100000\n"}, 0.25, id="v2 nested"),
        pytest.param(
            "0::/a/b\n", {"a/cpu.max": "20000 100000\n", "a/b/cpu.max": "90000 100000\n"}, 0.2, id="v2 least is above"
        ),
        pytest.param(
            "0::/a/b\n", {"a/cpu.max": "90000 100000\n", "a/b/cpu.max": "20000 100000\n"}, 0.2, id="v2 least is below"
        ),
        pytest.param("0::/a\n", {"a/cpu.max": "max 100000\n", "cpu.max": "30000 100000\n"}, 0.3, id="v2 max below"),
        pytest.param("0::/a\n", {"a/cpu.max": "1000 2000\n"}, 0.5, id="v2 another period"),
        pytest.param(
            "12:memory:/m\n4:cpu,cpuacct:/a\n0::/\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "40000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"},
            0.4,
            id="v1",
        ),
        pytest.param(
            "4:cpu,cpuacct:/docker/abc\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "40000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            0.4,
            id="v1 in a container, which sees its own group as the root",
        ),
        pytest.param(
            "3:cpu:/a/b\n",
            {
                "cpu/a/cpu.cfs_quota_us": "10000\n",
                "cpu/a/cpu.cfs_period_us": "100000\n",
                "cpu/a/b/cpu.cfs_quota_us": "-1\n",
                "cpu/a/b/cpu.cfs_period_us": "100000\n",
            },
            0.1,
            id="v1 least is above",
        ),
        pytest.param("0::/with:colon\n", {"with:colon/cpu.max": "50000 100000\n"}, 0.5, id="a colon in the name"),
    ],
)
def test_a_quota_limits_the_cores(cores, own_groups, files, quota):
    assert cores(own_groups, files) == quota


@pytest.mark.parametrize(
    ("own_groups", "files"),
    [
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, id="v2 max"),
        pytest.param("0::/a\n", {}, id="v2 without a file"),
        pytest.param("0::/\n", {"cpu.max": ""}, id="v2 empty"),
        pytest.param("0::/\n", {"cpu.max": "99999900000 100000\n"}, id="v2 more than there are"),
        pytest.param(
            "1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, id="v1 minus one"
        ),
        pytest.param("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "1000\n"}, id="v1 without a period"),
        pytest.param(
            "5:cpuset:/\n",
            {"cpuset/cpu.cfs_quota_us": "1000\n", "cpuset/cpu.cfs_period_us": "100000\n"},
            id="v1 of another controller",
        ),
        pytest.param("", {"cpu.max": "1000 100000\n"}, id="no groups"),
    ],
)
def test_without_a_quota_there_are_as_many_cores_as_the_affinity_allows(cores, all_cores, own_groups, files):
    assert cores(own_groups, files) == all_cores


def test_there_is_at_least_one_core_without_control_groups(all_cores):
    assert all_cores >= 1
