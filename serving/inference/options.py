"""What a client asks of its images, in whatever words it came."""

from dataclasses import dataclass

from serving.model.card import Level, ModelCard
from serving.errors import BadRequest


@dataclass(frozen=True)
class Question:
    """What a client asks of its images; no model means that each image's colour decides."""

    model: str | None = None
    version: str = ""
    top_k: int = 5
    coverage: float | None = None
    seen: bool = False

    def level(self, card: ModelCard) -> Level:
        """Return how label sets of this coverage are made; raises BadRequest when the card doesn't say."""
        conformal, coverage = card.conformal, self.coverage
        level = conformal.default if coverage is None else conformal.level(coverage)
        if level is None:
            highest = max(level.coverage for level in (*conformal.levels, conformal.default))
            raise BadRequest(
                f"coverage={coverage:g} is more than the model {card.name!r} was calibrated for: {highest:g}."
            )
        return level
