"""Commands whose lines other tests measure, or none of ours: for coverage, they would take half as long again."""

import os


def unmeasured() -> dict[str, str]:
    """Return the environment without what has a command measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
