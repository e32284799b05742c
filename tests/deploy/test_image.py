"""What the container image is made of: a base by its digest, and exact versions with hashes, as everywhere else."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PIN = re.compile(r"^([\w.-]+)==([\w.]+)(.*?)\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def name(text):
    return re.sub(r"[-_.]+", "-", text).lower()


def pins(file):
    """Return the versions of a file whose every requirement has hashes."""
    text = (ROOT / "deploy/image" / file).read_text()
    assert [line for line in PIN.sub("", text).splitlines() if line and not line.startswith("#")] == []
    return {name(package): version for package, version, *_ in PIN.findall(text)}


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize(("file", "extras"), [("requirements.txt", []), ("signing.txt", ["signing"])])
def test_the_image_installs_all_that_serving_needs_with_hashes(file, extras):
    described = project()["project"]
    needs = [*described["dependencies"], *(need for one in extras for need in described["optional-dependencies"][one])]

    assert {name(re.split(r"[><=\[]", need)[0]) for need in needs} <= set(pins(file))


@pytest.mark.parametrize("file", ["requirements.txt", "signing.txt", "build.txt"])
def test_the_image_has_the_versions_that_are_tested(file):
    pinned, tested = pins(file), constraints()

    assert {one: pinned[one] for one in pinned.keys() & tested.keys()} == {
        one: tested[one] for one in pinned.keys() & tested.keys()
    }


def test_the_image_is_built_with_the_build_requirement_of_the_project():
    (requirement,) = project()["build-system"]["requires"]

    assert requirement == f"hatchling=={pins('build.txt')['hatchling']}"


def test_the_image_stands_on_one_that_its_digest_names():
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    (base, *bases), named = [image for image, _ in stages], {name for _, name in stages}

    assert re.fullmatch(r"[\w.:/-]+@sha256:[0-9a-f]{64}", base)
    assert set(bases) <= named
