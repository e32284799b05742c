"""What the tests of publishing share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def _ctrl_c_at_each_move(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Press Ctrl-C before each file is moved."""
    replace = Path.replace

    def interrupted_replace(file: Path, target: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        return replace(file, target)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(Path, "replace", interrupted_replace)
    yield
    signal.signal(signal.SIGINT, before)
