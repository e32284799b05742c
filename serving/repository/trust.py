"""Which model files may be served: listed or signed ones, and none older than one that has been served."""

from dataclasses import dataclass, field
from pathlib import Path

from serving.repository.digests import ModelDigests
from serving.repository.model_key import ModelKey
from serving.repository.shared_lines import SharedLines
from serving.repository.trials import Trials


@dataclass(frozen=True)
class Trust:
    """digests: the files that alone may be served. key: the one that must have signed them. Without them, any may.

    trials: try each file before it is loaded. served: a line "NAME VERSION" for each signed version that has answered,
    in any worker.
    """

    digests: ModelDigests | None = None
    key: ModelKey | None = None
    trials: Trials | None = None
    served: SharedLines = field(default_factory=SharedLines)

    def fault(self, name: str, version: str, path: Path, digest: str) -> str | None:
        """Return why a file with this digest may not be served; None where it may."""
        fault = self.digests.fault(name, version, digest) if self.digests else None
        return fault or (self.key.fault(path, digest) if self.key else None)

    def lowest(self, name: str) -> int:
        """Return the lowest version of a model that may answer: with a key, nobody can bring back an old signed one."""
        if not self.key:
            return 1
        served = (line.rpartition(" ") for line in self.served.read())
        return max((int(version) for model, _, version in served if model == name and version.isdigit()), default=1)

    def note_answering(self, name: str, version: str) -> None:
        """Remember a version that answers from now on."""
        if self.key and int(version) > self.lowest(name):
            self.served.add(f"{name} {version}")
