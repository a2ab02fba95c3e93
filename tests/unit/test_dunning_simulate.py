"""`payments dunning simulate`: the same bytes for the same seed, a picture, and refusals in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from worker.commands import dunning_simulate
from worker.commands.dunning_simulate import simulate

HISTORY = "failed_at,amount,currency,code,recovered_at\n" + "".join(
    f"2026-03-{day:02}T09:30:00Z,12.30,EUR,insufficient_funds,{'2026-03-30T00:00:00Z' if day % 2 else ''}\n"
    for day in range(1, 25)
)
PATIENT = "[policy.patient]\ndelays_days = [3, 7, 14, 21]\n"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("worker.simulation_run.RESAMPLES", 20)
    monkeypatch.setattr(dunning_simulate, "RESAMPLES", 20)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(simulate, arguments)


def figures(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json", "out.json")
    assert result.exit_code == 0, result.output
    report: dict[str, object] = json.loads(Path("out.json").read_text())
    return report


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    seen = []
    for seed in ("1", "1", "2"):
        figures("--customers", "40", "--seed", seed)
        seen.append(Path("out.json").read_bytes())
    assert seen[0] == seen[1] != seen[2]


def test_shipped_policies_and_those_of_a_file_are_compared_with_code_blind() -> None:
    Path("own.toml").write_text(PATIENT)
    report = figures("--customers", "30", "--policy", "monitor_only", "--policy", "own.toml", "--policy", "code_blind")
    names = [each["name"] for each in report["strategies"]]  # type: ignore[attr-defined]
    assert names == ["code_blind", "monitor_only", "patient"]
    assert report["first_failures"] == 30
    assert "patient against code_blind" in run("--customers", "30", "--policy", "own.toml").stdout


def test_figures_name_their_denominators_and_their_ranges() -> None:
    report = figures("--customers", "60")
    blind, standard, strong = report["strategies"]  # type: ignore[misc]
    recovered = standard["recovered"]
    low, high = recovered["range"]
    assert recovered["of"] == 60
    assert low <= recovered["share"] == round(recovered["count"] / 60, 5) <= high
    assert sum(each["first_failures"] for each in standard["by_reason"].values()) == 60
    assert {each["currency"] for each in standard["recovered_amounts"]} == {"EUR", "GBP", "USD"}
    assert (standard["breaches"], blind["against"]) == ([], [])
    assert [each["strategy"] for each in strong["against"]] == ["code_blind", "standard"]
    more = strong["against"][1]["recovered"]
    assert more["count"] == strong["recovered"]["count"] - recovered["count"]
    assert all(breach["source"] for breach in blind["breaches"])
    assert sum(standard["recovered_by"].values()) == recovered["count"]


def test_an_own_history_is_played_and_compared_with_what_was_paid_in_fact() -> None:
    Path("history.csv").write_text(HISTORY)
    report = figures("--csv", "history.csv")
    assert (report["customers"], report["first_failures"]) == ("history", 24)
    assert report["recovered_in_fact"]["count"] == 11  # type: ignore[index]
    assert "in fact 45.8% were recovered" in run("--csv", "history.csv").stdout


@pytest.mark.parametrize(("name", "begin"), [("out.png", b"\x89PNG"), ("out.svg", b"<?xml")])
def test_a_picture_is_drawn_in_the_format_of_its_ending(name: str, begin: bytes) -> None:
    drawn = []
    for _ in range(2):
        result = run("--customers", "20", "--plot", name)
        assert result.exit_code == 0, result.output
        drawn.append(Path(name).read_bytes())
    assert drawn[0].startswith(begin)
    assert drawn[0] == drawn[1]


BAD = {
    "decreasing": "[policy.own]\ndelays_days = [7, 3]\n",
    "negative": "[policy.own]\ndelays_days = [-1, 3]\n",
    "beyond": "[policy.own]\ndelays_days = [1,2,3,4,5,6,7,8,9]\n",
    "grace": "[policy.own]\ngrace_days = -1\n",
    "empty": "",
    "no_toml": "[policy",
}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--policy", "stronk"],
            "there is no such file, and no such policy; the shipped ones are code_blind, standard",
        ),
        (["--policy", "decreasing"], "policy own: delays_days: must increase, such as 3,7,14"),
        (["--policy", "negative"], "policy own: delays_days: must be above 0"),
        (["--policy", "beyond"], "policy own: delays_days: must be at most 8 days"),
        (["--policy", "grace"], "policy own: grace_days: must be from 0 to 365"),
        (["--policy", "empty"], "empty: has no [policy.NAME] table"),
        (["--policy", "no_toml"], "is not TOML"),
        (["--policy", "own.toml", "--policy", "same.toml"], "two policies are named patient"),
        (["--csv", "missing.csv"], "missing.csv: cannot be read: No such file"),
        (["--csv", "no_toml"], "no_toml: row 1: misses column failed_at, amount, currency, code"),
        (["--csv", "history.csv", "--customers", "5"], "--customers is for the model"),
        (["--customers", "0"], "--customers must be from 1 to"),
        (["--plot", "out.gif"], "out.gif: a picture ends in .png or .svg"),
        (["--plot", "nowhere/out.png"], "nowhere/out.png: cannot be written"),
        (["--json", "."], ".: cannot be written"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(arguments: list[str], sentence: str) -> None:
    for name, text in {**BAD, "own.toml": PATIENT, "same.toml": PATIENT, "history.csv": HISTORY}.items():
        Path(name).write_text(text)
    before = sorted(Path().iterdir())
    json_too = [] if "--json" in arguments else ["--json", "written.json"]
    result = run(*arguments, *json_too)
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_without_matplotlib_a_picture_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("--plot", "out.png", "--json", "out.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "pictures need matplotlib: pip install 'celeriac[plots]'\n"
    assert list(Path().iterdir()) == []
    assert run("--customers", "5").exit_code == 0
