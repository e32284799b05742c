"""Which model files may be served: whose, and none older than one that was served."""

from dataclasses import dataclass, field
from pathlib import Path

from serving.repository.digests import ModelDigests
from serving.repository.model_key import ModelKey
from serving.repository.shared_lines import SharedLines
from serving.repository.trials import Trials


@dataclass(frozen=True)
class Trust:
    """digests, key: only files that are listed, or signed with it. trials: each file is tried before it is loaded.

    served: a line "NAME VERSION" for each signed version that has answered, in any worker.
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
        """Return the lowest version of a model that may answer: with a key, who cannot sign brings no old one back."""
        if not self.key:
            return 1
        served = (line.rpartition(" ") for line in self.served.read())
        return max((int(version) for model, _, version in served if model == name and version.isdigit()), default=1)

    def note_answering(self, name: str, version: str) -> None:
        """Remember a version that answers from now on."""
        if self.key and int(version) > self.lowest(name):
            self.served.add(f"{name} {version}")
