"""`payments fraud fit` and `fraud backtest` on made-up payments with planted fraud: figures, curves, refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from domain.fraud.rules import RULES, Direction
from tests.fraud_stream import write_stream
from worker.commands.fraud import fraud
from worker.fraud_rules_file import read_rule_set

# Every payment of the file is in one of these days, or history before them.
FIT, CHOOSE = "12-54", "58-75"
_DAYS = 76


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    csv_file, mapping = write_stream(tmp_path_factory.mktemp("stream"), _DAYS)
    return "--csv", str(csv_file), "--mapping", str(mapping)


@pytest.fixture(scope="module")
def fitted(stream: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit once; return the folder with its report, its draft and its picture."""
    folder = tmp_path_factory.mktemp("fitted")
    outputs = [f"--{name}={folder / file}" for name, file in
               (("json", "fit.json"), ("draft", "draft.toml"), ("plot", "fit.svg"))]  # fmt: skip
    result = run("fit", *stream, "--fit-days", FIT, "--choose-days", CHOOSE, "--version", "first", *outputs)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    (folder / "out.txt").write_text(result.stdout)
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(fraud, arguments)


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "fit.json").read_text())
    return report


def test_fitted_points_find_planted_fraud_that_the_shipped_ones_find_less_of(fitted: Path) -> None:
    report = report_of(fitted)
    default, free, monotone = (report["compared"][name] for name in ("default", "free", "monotone"))
    assert free["auc"] > 0.8
    assert free["average_precision"] > 0.55
    assert monotone["average_precision"] > 0.5
    assert free["average_precision"] > default["average_precision"]
    assert report["between"]["free"]["average_precision"] > 0.4
    block = free["bands"][-1]
    assert (block["band"], block["from_score"]) == ("block", 70)
    assert block["precision"] > 0.9
    assert block["recall"] > 0.15
    assert {name: report[name] for name in free} == free


def test_bands_and_rules_add_up(fitted: Path) -> None:
    report = report_of(fitted)
    assert sum(band["count"] for band in report["bands"]) == report["payments"]
    assert sum(band["fraud_count"] for band in report["bands"]) == report["frauds"]
    assert [band["band"] for band in report["bands"]] == ["approve", "verify", "review", "block"]
    for rule in report["rules"]:
        assert rule["precision"] == round(rule["fraud_count"] / rule["fired"], 5)
    assert set(report["precision_at"]) == {"100", "500", "1000"}
    assert 0 < report["recall_at_fpr"]["0.001"] <= report["recall_at_fpr"]["0.01"] < 1


def test_monotone_curves_keep_to_the_direction_of_their_rule(fitted: Path) -> None:
    curves = report_of(fitted)["compared"]["monotone"]["curves"]
    assert curves
    for curve in curves:
        points = [step["points"] for step in curve["steps"]]
        direction = RULES[curve["rule"]].direction
        assert curve["warning"] is None
        if direction is not Direction.FREE:
            assert points == sorted(points, reverse=direction is Direction.FALLING)


def test_a_curve_is_told_in_the_words_of_its_rule(fitted: Path) -> None:
    [curve] = [each for each in report_of(fitted)["curves"] if each["rule"] == "shared_fraud_share_month"]
    assert curve["steps"][-1]["says"].endswith(
        f"is {curve['steps'][-1]['from']} or more % of its payments within a month"
    )
    said = (fitted / "out.txt").read_text()
    assert f"{curve['steps'][-1]['says']}: {curve['steps'][-1]['points']:+} points" in said
    assert f"# {curve['steps'][-1]['says']}" in (fitted / "draft.toml").read_text()


def test_what_a_file_cannot_teach_is_left_out_with_the_reason(fitted: Path) -> None:
    report = report_of(fitted)
    assert report["left_out"]["user_known_for_days"] == "grows with the file, which knows nobody before its first row"
    assert report["left_out"]["card_frauds_week"] == "has the same values as user_frauds_week"
    assert report["left_out"]["method_risk"] == "has one value in all payments"
    assert not set(report["left_out"]) & {curve["rule"] for curve in report["curves"]}


def test_the_draft_is_a_rule_set_that_decides_the_same_in_a_backtest(
    fitted: Path, stream: tuple[str, ...], tmp_path: Path
) -> None:
    first, last = CHOOSE.split("-")
    out, draft = tmp_path / "out.json", fitted / "draft.toml"
    days = ("--from-day", first, "--to-day", last)
    result = run("backtest", *stream, "--rules", str(draft), *days, "--json", str(out))
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    backtest, report = json.loads(out.read_text()), report_of(fitted)
    shared = backtest.keys() & report.keys()
    assert {"auc", "average_precision", "precision_at", "recall_at_fpr", "bands", "rules"} <= shared
    assert {name: backtest[name] for name in shared} == {name: report[name] for name in shared}
    assert backtest["rules_version"] == read_rule_set(draft).version == "first-free"
    assert "rules first-free\n" in result.stdout


def test_a_picture_is_drawn(fitted: Path) -> None:
    assert (fitted / "fit.svg").read_text().startswith("<?xml")


def test_the_same_file_gives_the_same_points_and_the_days_follow_from_its_length(tmp_path: Path) -> None:
    csv_file, mapping = write_stream(tmp_path, days=60, seed=2)
    draft, out, reports = tmp_path / "draft.toml", tmp_path / "out.json", []
    for monotone in ((), ("--monotone",)):
        arguments = ("--csv", str(csv_file), "--mapping", str(mapping), "--draft", str(draft), "--json", str(out))
        result = run("fit", *arguments, *monotone)
        assert result.exit_code == 0, result.output
        reports.append(json.loads(out.read_text()))
    free, drafted = reports
    assert free["compared"] == drafted["compared"]
    assert (free["draft"], drafted["draft"]) == ("free", "monotone")
    assert (drafted["fit_days"], drafted["choose_days"]) == ([12, 47], [51, 59])
    assert read_rule_set(draft).version == drafted["rules_version"] == "fit-12-47-monotone"


def test_history_before_the_first_day_counts(stream: tuple[str, ...], tmp_path: Path) -> None:
    rules, out = tmp_path / "rules.toml", tmp_path / "out.json"
    rules.write_text('version = "1"\n[rules.user_known_for_days]\nat = [20]\npoints = [30]\n')
    assert run("backtest", *stream, "--rules", str(rules), "--from-day", "70", "--json", str(out)).exit_code == 0
    report = json.loads(out.read_text())
    assert report["bands"][1]["share"] > 0.9
    assert (report["from_day"], report["to_day"], report["rules_version"]) == (70, None, "1")


def test_without_options_all_days_are_scored_by_the_shipped_rules(stream: tuple[str, ...]) -> None:
    result = run("backtest", *stream)
    assert result.exit_code == 0
    assert f"{_DAYS * 120} payments" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["backtest", "--rules", "missing.toml"], "missing.toml: cannot be read: No such file"),
        (["backtest", "--rules", "bad.toml"], "bad.toml: amuont: there is no such rule"),
        (["backtest", "--from-day", "9", "--to-day", "8"], "--to-day must not be before --from-day"),
        (["backtest", "--from-day", "900"], "has no payment on these days"),
        (["backtest", "--json", "nowhere/out.json"], "nowhere/out.json: cannot be written"),
        (["backtest", "--csv", "missing.csv"], "missing.csv: cannot be read: No such file"),
        (["backtest", "--csv", "bad.toml"], "bad.toml: row 1: misses column gap"),
        (["backtest", "--mapping", "bad.toml"], "bad.toml: time: Field required"),
        (["fit", "--fit-days", "1-9"], "--fit-days and --choose-days are given both or not at all"),
        (["fit", "--fit-days", "9-1", "--choose-days", "20-30"], "--fit-days: must be two days such as 30-121"),
        (["fit", "--fit-days", "1-9", "--choose-days", "x"], "--choose-days: must be two days such as 30-121"),
        (["fit", "--fit-days", "1-20", "--choose-days", "20-30"], "--choose-days must begin after --fit-days"),
        (
            ["fit", "--fit-days", "1-2", "--choose-days", "20-30"],
            "--fit-days: 216 payments, 1 of them fraud; 20 are needed",
        ),
        (["fit", "--csv", "short.csv"], "1 days are too few for a fit, with labels that take 3 days to arrive"),
        (["fit", "--version", "of today"], "'of today-free' is no version: use at most 40 of the characters"),
        (["fit", "--csv", "flat.csv"], "--fit-days: nothing that the rules read tells fraud"),
        (["fit", "--plot", "out.gif"], "out.gif: a picture ends in .png or .svg"),
        (["fit", "--draft", "."], ".: cannot be written"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(
    stream: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text('version = "1"\n[rules.amuont]\nat = [1]\npoints = [1]\n')
    Path("short.csv").write_text("gap,user,account,cents,fraud\n1,u,a,100,\n")
    alike = "".join(f"86400,,,100,{'stolen' if row % 5 else ''}\n" for row in range(400))
    Path("flat.csv").write_text(f"gap,user,account,cents,fraud\n{alike}")
    before = sorted(Path().iterdir())
    command, *own = arguments
    result = run(command, *stream, *own)
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("missing", ["--csv", "--mapping"])
def test_a_file_that_is_not_named_is_asked_for(stream: tuple[str, ...], missing: str) -> None:
    place = stream.index(missing)
    result = run("fit", *stream[:place], *stream[place + 2 :])
    assert result.exit_code == 2
    assert f"Missing option '{missing}'" in result.stderr


def test_without_numpy_a_fit_says_what_to_install_and_a_backtest_runs(
    stream: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    result = run("fit", *stream)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "curves are fitted with numpy: pip install 'celeriac[fraud-fit]'\n"
    assert run("backtest", *stream, "--to-day", "1").exit_code == 0
