"""`dev.py dunning`: plays histories, tells what is broken, and repeats with its seed."""

from __future__ import annotations

import pytest

from domain.dunning.policy import problems_of
from stack import dunning


def test_histories_are_played_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert dunning.main(["--histories", "30", "--in-system", "0", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("30 histories in memory (seed 3): ")
    assert "0 broken rules" in said


def test_a_broken_rule_is_told_with_its_history_and_ends_in_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dunning, "violations_of", lambda history, cap: ["a rule"] if history.tries else [])
    counts, problems = dunning.play_batch("3", range(12))
    assert counts["histories"] == len(problems) == 12
    assert problems[0].startswith("history 0, DunningPolicy(")
    monkeypatch.setattr(dunning, "play_in_memory", lambda seed, histories: problems)
    assert dunning.main(["--histories", "12", "--in-system", "0", "--seed", "3"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "dunning: a rule was broken (seed 3)"


def test_every_drawn_policy_is_one_that_an_operator_may_write_and_repeats_with_its_seed() -> None:
    drawn = [dunning.drawn_policy("3", number) for number in range(60)]
    assert all(not problems_of(policy) for policy in drawn)
    assert len(set(drawn)) > 40
    assert drawn == [dunning.drawn_policy("3", number) for number in range(60)]


@pytest.mark.parametrize("arguments", [["--histories", "many"], ["--histories", "-1"], ["--in-system", "1.5"]])
def test_a_number_that_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dunning.main(arguments)
    assert arguments[0] in capsys.readouterr().err.splitlines()[-1]
