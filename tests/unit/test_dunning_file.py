"""Dunning policies and segments as an operator writes them: all are read, or every mistake has its sentence."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from domain.dunning.policy import MONITOR_ONLY, STANDARD, STRONG, DunningPolicy, EndAction, GraceAnchor, ResumeAnchor
from domain.dunning.segments import Segment, SegmentFacts, choose_policy
from stack.process import ROOT
from worker.dunning_file import DunningFile, read_dunning_file

PAGE = (ROOT / "docs" / "fraud-and-dunning.md").read_text(encoding="utf-8")
GOOD = """
[policy.patient]
delays_days = [1.5, 4, 9, 16]
grace_days = 10
grace_anchor = "first_failure"
end_action = "pause"
resume_anchor = "moved"
window_days = 2.5
technical_delays_hours = [2, 12]
least_gap_hours = 24
most_unknown_retries = 1
is_monitor_only = false

[policy.short]
attempts = 2

[[segment]]
name = "annual plans"
applications = ["shop"]
plans = ["annual"]
methods = ["sepa_debit"]
currencies = ["EUR"]
countries = ["DE", "AT"]
minimum = 10000
maximum = 50000
policy = "patient"
holdout = 0.1

[[segment]]
name = "all others"
policy = "standard"
"""
PATIENT = DunningPolicy(
    delays_days=(1.5, 4, 9, 16),
    attempts=4,
    grace_days=10,
    name="patient",
    grace_anchor=GraceAnchor.FIRST_FAILURE,
    end_action=EndAction.PAUSE,
    resume_anchor=ResumeAnchor.MOVED,
    window_days=2.5,
    technical_delays_hours=(2, 12),
    least_gap_hours=24,
    most_unknown_retries=1,
)


def test_policies_and_segments_are_read_in_their_order(tmp_path: Path) -> None:
    configured = replace(STANDARD, grace_days=9)
    dunning = read_dunning_file(written(tmp_path, GOOD), configured)
    assert dunning.policies == {
        "strong": STRONG,
        "monitor_only": MONITOR_ONLY,
        "patient": PATIENT,
        "short": replace(STANDARD, attempts=2, name="short"),
    }
    assert dunning.segments == (
        Segment(
            name="annual plans",
            policy=PATIENT,
            applications=frozenset({"shop"}),
            plans=frozenset({"annual"}),
            methods=frozenset({"sepa_debit"}),
            currencies=frozenset({"EUR"}),
            countries=frozenset({"DE", "AT"}),
            minimum=10000,
            maximum=50000,
            holdout=0.1,
        ),
        Segment(name="all others", policy=configured),
    )


def test_without_a_file_the_shipped_policies_are_known(tmp_path: Path) -> None:
    assert read_dunning_file(written(tmp_path, ""), STANDARD) == DunningFile()
    assert DunningFile().policies == {"strong": STRONG, "monitor_only": MONITOR_ONLY}


def test_the_example_of_the_page_is_a_working_file(tmp_path: Path) -> None:
    [example] = [each for each in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[policy." in each]
    dunning = read_dunning_file(written(tmp_path, example), STANDARD)
    facts = SegmentFacts("user_1", "shop", 99_000, "EUR", "sepa_debit", plan="annual", country="DE")
    chosen = {
        choose_policy(dunning.segments, replace(facts, seed=f"user_{n}"), STANDARD).policy.name for n in range(99)
    }
    assert chosen == {"patient", "monitor_only"}
    assert choose_policy(dunning.segments, replace(facts, plan=None), STANDARD).policy.name == "strong"


SEGMENT = "[[segment]]\nname = 'x'\npolicy = 'strong'\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("segment = 1", r"must contain nothing but \[policy.NAME\] and \[\[segment\]\] tables"),
        ("policy = 1", r"must contain nothing but \[policy.NAME\] and \[\[segment\]\] tables"),
        ("[other]", r"must contain nothing but \[policy.NAME\] and \[\[segment\]\] tables"),
        ("[[segment", "is not TOML"),
        ("[policy]\nx = 1", "policy x: .*dictionary"),
        ("[policy.strong]", "policy strong: is shipped; choose another name"),
        ("[policy.standard]", "policy standard: is shipped; choose another name"),
        ("[policy.'A b']", "policy A b: the name must have at most 40 of the characters"),
        ("[policy.x]\ncolour = 'red'", "policy x: colour: "),
        ("[policy.x]\ndelays_days = [7, 3]", "policy x: delays_days: must increase, such as 3,7,14"),
        ("[policy.x]\ndelays_days = [-3, 7]", "policy x: delays_days: must be above 0"),
        ("[policy.x]\ndelays_days = [0]", "policy x: delays_days: must be above 0"),
        ("[policy.x]\ndelays_days = [0.1, 7]", "policy x: delays_days: must be at least 20 hours apart"),
        ("[policy.x]\ndelays_days = [nan]", "policy x: delays_days: "),
        ("[policy.x]\nattempts = 9", "policy x: attempts: must be from 0 to 8"),
        ("[policy.x]\ngrace_days = -1", "policy x: grace_days: must be from 0 to 365"),
        ("[policy.x]\ngrace_anchor = 'never'", "policy x: grace_anchor: "),
        ("[policy.x]\nend_action = 'sue'", "policy x: end_action: "),
        ("[policy.x]\nwindow_days = 9", "policy x: window_days: must be from 0 to 2.5"),
        ("[[segment]]\npolicy = 'strong'", "segment 1: name: "),
        ("[[segment]]\nname = 'x'", "segment 1: policy: "),
        (SEGMENT.replace("strong", "weak"), "segment 1: policy: must be one of: monitor_only, standard, strong$"),
        (SEGMENT + "holdout = 1.1", "segment 1: holdout: "),
        (SEGMENT + "holdout = -0.1", "segment 1: holdout: "),
        (SEGMENT + "methods = ['klarn']", "segment 1: methods: "),
        (SEGMENT + "currencies = ['EURO']", "segment 1: currencies: .*ISO 4217"),
        (SEGMENT + "countries = ['de']", "segment 1: countries: "),
        (SEGMENT + "minimum = 5", "segment 1: an amount needs currencies"),
        (SEGMENT + "colour = 'red'", "segment 1: colour: "),
        (SEGMENT + SEGMENT, "segment 1: name: x is the name of another segment too"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        read_dunning_file(written(tmp_path, text), STANDARD)


def test_all_mistakes_are_reported_at_once_and_each_once(tmp_path: Path) -> None:
    text = "[policy.x]\ngrace_days = -1\nattempts = 9\n[policy.y]\ncolour = 1\n" + SEGMENT.replace("strong", "y")
    with pytest.raises(ValueError, match="grace_days") as refused:
        read_dunning_file(written(tmp_path, text + SEGMENT.replace("strong", "z") + "holdout = 2"), STANDARD)
    problems = [": ".join(problem.split(": ")[:2]) for problem in str(refused.value).split("; ")]
    assert problems == ["policy x: attempts", "policy x: grace_days", "policy y: colour", "segment 2: holdout"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_dunning_file(tmp_path / "none.toml", STANDARD)


def written(folder: Path, text: str) -> Path:
    file = folder / "dunning.toml"
    file.write_text(text, encoding="utf-8")
    return file
