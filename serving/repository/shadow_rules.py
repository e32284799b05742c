"""The rules of THIMBLE_SHADOW: which model runs as a shadow of which."""

import re
from dataclasses import dataclass

EXPECTED = "Expected MODEL=SHADOW@SHARE, such as cifar-net=cifar-net:2@0.1, and commas between several"
RULE = re.compile(
    r"(?P<model>[\w.-]+)=(?P<shadow>[\w.-]+)(?::(?P<version>[1-9][0-9]*))?@(?P<share>[01]|[01]?\.[0-9]{1,9})", re.ASCII
)


@dataclass(frozen=True)
class ShadowRule:
    """A shadow: it gets a share of a model's requests, is compared with the model's answers, and answers no client.

    version: of the shadow; empty means its answering version.
    """

    model: str
    shadow: str
    version: str
    share: float

    def __str__(self) -> str:
        return f"{self.shadow}:{self.version}" if self.version else self.shadow


def parse_shadow_rules(text: str) -> tuple[ShadowRule, ...]:
    """Parse the rules of a setting; raises ValueError with what is wrong."""
    rules = tuple(_parse_rule(rule.strip()) for rule in text.split(","))
    models = [rule.model for rule in rules]
    for model in models:
        if models.count(model) > 1:
            raise ValueError(f"Expected one shadow of {model!r}")
    return rules


def _parse_rule(text: str) -> ShadowRule:
    match = RULE.fullmatch(text)
    if match is None:
        raise ValueError(f"{EXPECTED}; found {text!r}")
    rule = ShadowRule(match["model"], match["shadow"], match["version"] or "", float(match["share"]))
    if not 0 < rule.share <= 1:
        raise ValueError(f"Expected a share above 0 and at most 1; found {match['share']}")
    if rule.model == rule.shadow and not rule.version:
        raise ValueError(f"Expected a version where a model is its own shadow, such as {rule.model}:2")
    return rule
