"""The stored form of a rule set: plain values, which read back as the same rule set for ever."""

from __future__ import annotations

from typing import Any

from domain.fraud.rule_set import Bands, BandsFor, Curve, RuleSet


def as_plain(rule_set: RuleSet) -> dict[str, Any]:
    """Return a rule set as plain values.

    >>> rule_set = RuleSet("v1", {"amount": Curve((100,), (30,))})
    >>> from_plain("v1", as_plain(rule_set)) == rule_set
    True
    """
    return {
        "bands": _plain_bands(rule_set.bands),
        "exceptions": [
            {"methods": sorted(each.methods), "currencies": sorted(each.currencies), "bands": _plain_bands(each.bands)}
            for each in rule_set.exceptions
        ],
        # A list, because the order in which reasons are shown is that of the rules.
        "rules": [
            {"rule": name, "at": list(curve.bounds), "points": list(curve.steps)}
            for name, curve in rule_set.curves.items()
        ],
    }


def from_plain(version: str, plain: dict[str, Any]) -> RuleSet:
    """Return the rule set of a version."""
    return RuleSet(
        version,
        {each["rule"]: Curve(tuple(each["at"]), tuple(each["points"])) for each in plain["rules"]},
        Bands(**plain["bands"]),
        tuple(
            BandsFor(Bands(**each["bands"]), frozenset(each["methods"]), frozenset(each["currencies"]))
            for each in plain["exceptions"]
        ),
    )


def _plain_bands(bands: Bands) -> dict[str, int]:
    return {"verify": bands.verify, "review": bands.review, "block": bands.block}
