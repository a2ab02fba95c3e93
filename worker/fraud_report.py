"""How good a rule set is, as JSON and as lines for people. The same payments give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.fraud.quality import Quality, Tally
from domain.fraud.rule_set import Bands, FraudDecision

_PRECISION_AT = (100, 500, 1000)
_FALSE_POSITIVES = (0.001, 0.01)
_FLAGGED = (0.001, 0.01)
_MOST_RULES = 15
_Json = dict[str, Any]


def to_json(quality: Quality, bands: Bands) -> _Json:
    """Return all figures; what cannot be said of so few payments is null. Amounts are decimals of the base currency."""
    return {
        "payments": quality.all.count,
        "frauds": quality.all.frauds,
        "amount": _amount(quality.all.amount),
        "fraud_amount": _amount(quality.all.fraud_amount),
        "auc": _round(quality.auc),
        "average_precision": _round(quality.average_precision),
        "precision_at": {str(most): _round(quality.precision_at(most)) for most in _PRECISION_AT},
        "recall_at_fpr": {str(share): _round(quality.recall_at_false_positives(share)) for share in _FALSE_POSITIVES},
        "recall_with_flagged": {str(share): _round(quality.recall_with_flagged(share)) for share in _FLAGGED},
        "bands": [_band(decision, quality, bands) for decision in FraudDecision],
        "rules": [_rule(name, tally, quality.all) for name, tally in _by_count(quality)],
    }


def to_text(quality: Quality, bands: Bands) -> str:
    """Return the figures for people: what the score ranks, the bands, and the rules that fired most."""
    return "\n".join([*_ranking(quality), "", *_bands(quality, bands), "", *_rules(quality)])


def _ranking(quality: Quality) -> Iterator[str]:
    tally = quality.all
    yield f"{tally.count} payments, {tally.frauds} of them fraud ({_percent(tally.precision)})"
    yield f"AUC {_short(quality.auc)}, average precision {_short(quality.average_precision)}"
    at = ", ".join(f"{_percent(quality.precision_at(most))} of the first {most}" for most in _PRECISION_AT)
    yield f"fraud among the highest scores: {at}"
    yield (
        f"fraud found: {_percent(quality.recall_at_false_positives(_FALSE_POSITIVES[0]))} with"
        f" {_percent(_FALSE_POSITIVES[0])} of the genuine payments flagged,"
        f" {_percent(quality.recall_with_flagged(_FLAGGED[-1]))} with {_percent(_FLAGGED[-1])} of all flagged"
    )


def _bands(quality: Quality, bands: Bands) -> Iterator[str]:
    heads = f"{'of all':>9}{'fraud':>8}{'precise':>9}{'of fraud':>10}{'its amount':>12}"
    yield f"{'band':<9}{'from':>5}{'payments':>10}{heads}"
    for decision in FraudDecision:
        tally = quality.bands[decision]
        yield (
            f"{decision.value:<9}{_begins(decision, bands):>5}{tally.count:>10}"
            f"{_percent(_of(tally.count, quality.all.count)):>9}{tally.frauds:>8}{_percent(tally.precision):>9}"
            f"{_percent(_of(tally.frauds, quality.all.frauds)):>10}"
            f"{_percent(_of(tally.fraud_amount, quality.all.fraud_amount)):>12}"
        )


def _rules(quality: Quality) -> Iterator[str]:
    yield f"{'rule':<32}{'fired':>9}{'precise':>9}{'of fraud':>10}"
    for name, tally in _by_count(quality)[:_MOST_RULES]:
        recall = _percent(_of(tally.frauds, quality.all.frauds))
        yield f"{name:<32}{tally.count:>9}{_percent(tally.precision):>9}{recall:>10}"


def _by_count(quality: Quality) -> list[tuple[str, Tally]]:
    return sorted(quality.rules.items(), key=lambda item: (-item[1].count, item[0]))


def _band(decision: FraudDecision, quality: Quality, bands: Bands) -> _Json:
    tally, everything = quality.bands[decision], quality.all
    return {
        "band": decision.value,
        "from_score": _begins(decision, bands),
        "count": tally.count,
        "share": _round(_of(tally.count, everything.count)),
    } | _tally(tally, everything)


def _rule(name: str, tally: Tally, everything: Tally) -> _Json:
    return {"rule": name, "fired": tally.count} | _tally(tally, everything)


def _tally(tally: Tally, everything: Tally) -> _Json:
    return {
        "amount": _amount(tally.amount),
        "fraud_count": tally.frauds,
        "fraud_amount": _amount(tally.fraud_amount),
        "precision": _round(tally.precision),
        "recall": _round(_of(tally.frauds, everything.frauds)),
        "recall_of_amount": _round(_of(tally.fraud_amount, everything.fraud_amount)),
    }


def _begins(decision: FraudDecision, bands: Bands) -> int:
    begins = {FraudDecision.VERIFY: bands.verify, FraudDecision.REVIEW: bands.review, FraudDecision.BLOCK: bands.block}
    return begins.get(decision, 0)


def _amount(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _of(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _round(share: float | None) -> float | None:
    return None if share is None else round(share, 5)


def _short(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3g} %"
