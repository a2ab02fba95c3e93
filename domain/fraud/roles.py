"""Which rule set scores a payment: the live one, or a candidate for a share of the users. Shadows only watch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.dunning.draw import draw
from domain.fraud.rule_set import RuleSet


class Role(StrEnum):
    """What a version is used for. One version at most has each."""

    LIVE = "live"
    CANDIDATE = "candidate"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class RuleSets:
    """The rule sets in use. `share`: of the users whom the candidate scores, in percent."""

    live: RuleSet
    candidate: RuleSet | None = None
    share: int = 0
    shadow: RuleSet | None = None

    def for_user(self, application: str, user: str) -> RuleSet:
        """Return the rule set that decides on a user's payments: the same one each time, and a user whom a small share
        has reached stays within a larger one.

        >>> rules = RuleSets(RuleSet("v1", {}), RuleSet("v2", {}), share=100)
        >>> rules.for_user("shop", "ada").version
        'v2'
        """
        if self.candidate is None:
            return self.live
        is_reached = draw(self.candidate.version, application, user) * 100 < self.share
        return self.candidate if is_reached else self.live
