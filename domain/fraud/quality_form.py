"""The stored form of a quality: plain values, which read back as the same figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from domain.fraud.quality import Quality, Tally
from domain.fraud.rule_set import FraudDecision


def quality_as_plain(quality: Quality) -> dict[str, Any]:
    """Return a quality as plain values.

    >>> quality_from_plain(quality_as_plain(Quality())) == Quality()
    True
    """
    return {
        "all": asdict(quality.all),
        "bands": {decision.value: asdict(tally) for decision, tally in quality.bands.items()},
        "rules": {name: asdict(tally) for name, tally in quality.rules.items()},
        "by_score": quality.by_score,
    }


def quality_from_plain(plain: dict[str, Any]) -> Quality:
    """Return the quality."""
    return Quality(
        Tally(**plain["all"]),
        {FraudDecision(name): Tally(**tally) for name, tally in plain["bands"].items()},
        {name: Tally(**tally) for name, tally in plain["rules"].items()},
        [list(counts) for counts in plain["by_score"]],
    )
