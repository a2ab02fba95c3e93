"""Which failures show a planted bug, what is wrong with a bug that cannot be planted, and how a run ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from domain.errors import Conflict
from gateways.failures import MalformedResponse
from stack.first_failure import counts
from stack.mutants import Verdict, report
from stack.planted_bugs import PlantedBug, planted_bugs, problems

BUG = PlantedBug(
    name="a wrong exit code",
    kind="wiring",
    file="stack/planted_bugs.py",
    old='FOLDER = ROOT / "tests" / "mutants"',
    new='FOLDER = ROOT / "tests"',
    cost="Nothing is planted.",
    tests=("tests/stack/test_mutants.py::test_a_bug_that_can_be_planted_has_no_problem",),
)
REFUSED = ("INSERT", {}, Exception("no"))


@pytest.mark.parametrize(
    "error",
    [
        AssertionError(),
        pytest.fail.Exception("DID NOT RAISE"),
        Conflict("busy"),
        MalformedResponse("Order.id"),
        IntegrityError(*REFUSED),
        OperationalError(*REFUSED),
    ],
    ids=repr,
)
def test_a_failure_for_the_value_at_fault_counts(error: BaseException) -> None:
    assert counts(error)


@pytest.mark.parametrize(
    "error",
    [IndexError(), KeyError(), NameError(), AttributeError(), TypeError(), ValueError(), ImportError(), SyntaxError()],
    ids=repr,
)
def test_a_test_that_stumbles_sees_nothing(error: BaseException) -> None:
    assert not counts(error)
    assert not counts(ProgrammingError(*REFUSED))


def test_a_bug_that_can_be_planted_has_no_problem() -> None:
    assert list(problems([BUG])) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"old": "nowhere"}, "`old` occurs 0 times"),
        ({"old": "ROOT"}, "not once"),
        ({"new": "FOLDER ="}, "invalid syntax"),
        ({"new": BUG.old}, "changes nothing"),
        ({"file": "stack/absent.py"}, "No such file"),
        ({"cost": "It costs. A lot."}, "one sentence"),
        ({"tests": ()}, "names no test"),
        ({"tests": ("tests/stack/test_mutants.py::test_absent[1]",)}, "there is no test"),
    ],
)
def test_what_keeps_a_bug_from_being_planted_is_named(changes: dict[str, Any], problem: str) -> None:
    [found] = problems([replace(BUG, **changes)])
    assert problem in found


def test_each_bug_has_a_name_of_its_own() -> None:
    assert "2 bugs have this name" in next(problems([BUG, BUG]))


def test_only_bugs_with_the_text_are_chosen() -> None:
    chosen = planted_bugs("gateways/klarna")
    assert {bug.file.split("/")[1] for bug in chosen} == {"klarna"}
    assert planted_bugs("in no file and no name") == []


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.SEEN, 0), (Verdict.NOT_SEEN, 1), (Verdict.BY_ACCIDENT, 1)])
def test_a_run_succeeds_only_if_every_bug_is_seen(
    verdict: Verdict, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    class Tried:
        def tries(self, bug: PlantedBug) -> tuple[Verdict, str]:
            return (verdict if bug.name == "last" else Verdict.SEEN), "why"

    assert report([BUG, replace(BUG, name="last")], Tried()) == code  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("2 planted bugs in 0 s: ")
    assert ("what it would cost" in "\n".join(lines)) == bool(code)
