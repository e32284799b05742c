"""Which model runs beside which: the setting of shadows, as an operator writes it."""

import re
from dataclasses import dataclass

EXPECTED = "Expected MODEL=SHADOW@SHARE, such as cifar-net=cifar-net:2@0.1, and commas between several"
RULE = re.compile(
    r"(?P<model>[\w.-]+)=(?P<shadow>[\w.-]+)(?::(?P<version>[1-9][0-9]*))?@(?P<share>[01]|[01]?\.[0-9]{1,9})", re.ASCII
)


@dataclass(frozen=True)
class Shade:
    """A shadow: it sees a share of what a model is asked, is compared with its answers and answers nobody.

    version: of the shadow; none means the one that answers.
    """

    model: str
    shadow: str
    version: str
    share: float

    def __str__(self) -> str:
        return f"{self.shadow}:{self.version}" if self.version else self.shadow


def shades(text: str) -> tuple[Shade, ...]:
    """Read the shadows of a setting; raises ValueError with what is wrong."""
    found = tuple(_shade(rule.strip()) for rule in text.split(","))
    models = [shade.model for shade in found]
    for model in models:
        if models.count(model) > 1:
            raise ValueError(f"Expected one shadow of {model!r}")
    return found


def _shade(rule: str) -> Shade:
    match = RULE.fullmatch(rule)
    if match is None:
        raise ValueError(f"{EXPECTED}; found {rule!r}")
    shade = Shade(match["model"], match["shadow"], match["version"] or "", float(match["share"]))
    if not 0 < shade.share <= 1:
        raise ValueError(f"Expected a share above 0 and at most 1; found {match['share']}")
    if shade.model == shade.shadow and not shade.version:
        raise ValueError(f"Expected a version where a model is its own shadow, such as {shade.model}:2")
    return shade
