"""The page of fraud rules is up to date, and every rule says what an operator can read."""

from __future__ import annotations

from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.rule_set import problems_of
from domain.fraud.rules import RULES
from domain.fraud.rules_page import page

from .source import ROOT


def test_the_page_of_fraud_rules_is_up_to_date() -> None:
    page_now = (ROOT / "docs/fraud-rules.md").read_text(encoding="utf-8")
    assert page() == page_now, "renew it: python -m domain.fraud.rules_page > docs/fraud-rules.md"


def test_the_shipped_rule_set_has_no_problem() -> None:
    assert list(problems_of(DEFAULT_RULES, RULES)) == []


def test_one_mismatch_alone_never_does_more_than_verify() -> None:
    for name in ("avs_mismatch", "cvv_mismatch"):
        assert DEFAULT_RULES.curves[name].most < DEFAULT_RULES.bands.review
