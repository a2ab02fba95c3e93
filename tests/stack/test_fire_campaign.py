"""The campaign of deaths: what it calls a breach, and how it kills. No system starts."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from stack.fire_checks import DAY_SECONDS, Findings, Seen, examine
from stack.fire_debts import DAYS, SCRIPTS, Debt, all_scripts
from stack.fire_kills import FAILPOINT, Fire
from stack.process import Process, wait_until
from tests.patience import patient

NEVER_PAID = SCRIPTS[3]
LAST_DAY = DAYS[-1]
Change = Callable[[Debt, Seen], object]


def played() -> tuple[Debt, Seen]:
    """Return a debt that was never paid, with all that there has to be after three weeks."""
    references = [f"pi_{day}" for day in NEVER_PAID.tries]
    about = {"metadata": {"payment_id": "pay_1"}}
    kinds = NEVER_PAID.mails_until(LAST_DAY)
    payment = {
        "id": "pay_1",
        "status": "uncollectible",
        "currency": "EUR",
        "movements": [],
        "attempts": [{"status": "declined", "provider_reference": reference} for reference in references],
        "dunning": {
            "next_retry_at": None,
            "mails": [{"mail": kind, "state": "sent", "reason": None} for kind in kinds],
        },
    }
    totals = {"status": "requires_payment_method", "captured": 0, "refunded": 0, "charges": 0}
    seen = Seen(
        tries=[
            {"at": day * DAY_SECONDS, "object": reference, **about}
            for day, reference in zip(NEVER_PAID.tries, references, strict=True)
        ],
        intents=[{"object": reference, **totals, **about} for reference in references],
        mails=[{"message_id": f"<{kind}@shop>", "subject": kind, "quit_after_seconds": 0.01} for kind in kinds],
        events=["payment_accepted", "grace_started", "grace_expired"],
        asked=[],
        subscription="canceled",
    )
    return Debt(NEVER_PAID, {}, payment), seen


def findings_after(change: Change) -> Findings:
    """Return what is found after a change of what has to be."""
    debt, seen = played()
    change(debt, seen)
    findings = Findings()
    examine(findings, debt, seen, LAST_DAY)
    return findings


def test_a_debt_that_went_as_planned_has_no_problem() -> None:
    found = findings_after(lambda debt, seen: None)
    assert not found.problems
    assert (found.tries, found.mails, found.expiries, found.doubled, found.unconfirmed) == (4, 4, 1, 0, 0)


def _try_again(debt: Debt, seen: Seen) -> None:
    seen.tries.append(seen.tries[-1])


def _try_late(debt: Debt, seen: Seen) -> None:
    seen.tries[-1]["at"] += DAY_SECONDS


def _try_by_another_intent(debt: Debt, seen: Seen) -> None:
    seen.tries[-1]["object"] = "pi_other"


def _leave_an_intent(status: str) -> Change:
    return lambda debt, seen: seen.intents.append(seen.intents[0] | {"object": "pi_left", "status": status})


def _charge(debt: Debt, seen: Seen) -> None:
    seen.intents[-1] |= {"captured": 990, "charges": 1}


def _mail_again(times: int, quit_after: float | None = None) -> Change:
    return lambda debt, seen: seen.mails.extend([seen.mails[0] | {"quit_after_seconds": quit_after}] * times)


def _mail_under_another_id(debt: Debt, seen: Seen) -> None:
    seen.mails[1] = seen.mails[0] | {"message_id": "<other@shop>"}


def _lose_a_mail(debt: Debt, seen: Seen) -> None:
    seen.mails.pop()


def _say_of_a_mail(**said: Any) -> Change:
    return lambda debt, seen: debt.mails[0].update(said)


def _leave_a_mail_to_a_person(debt: Debt, seen: Seen) -> None:
    debt.mails[0].update(state="failed", reason="outcome_unknown")
    seen.asked.append("mail_refused")


def _end_grace_again(debt: Debt, seen: Seen) -> None:
    seen.events.append("grace_expired")


def _stand(**said: Any) -> Change:
    return lambda debt, seen: debt.payment.update(said)


def _leave_an_attempt_open(debt: Debt, seen: Seen) -> None:
    debt.payment["attempts"][-1]["status"] = "in_doubt"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_try_again, "the issuer was asked 5 times instead of 4"),
        (_try_late, "a try came 8.0 days after the one before"),
        (_try_by_another_intent, "the issuer was asked about"),
        (_leave_an_intent("succeeded"), "the intent pi_left is succeeded, and no attempt knows it"),
        (_charge, "was charged 1 times instead of 0"),
        (_mail_again(2), "a mail has come 3 times"),
        (_mail_again(1, 0.01), "come again though the worker that had sent it lived"),
        (_mail_under_another_id, "one mail has come under several Message-IDs"),
        (_lose_a_mail, "3 Message-IDs have come for 4 mails that were sent"),
        (_say_of_a_mail(state="suppressed", reason="no_longer_true"), "first_failure is suppressed: no_longer_true"),
        (_say_of_a_mail(state="waiting"), "is still under way"),
        (
            _say_of_a_mail(state="failed", reason="outcome_unknown"),
            "1 mails were left to a person, who was asked about: nothing",
        ),
        (_end_grace_again, "2 events grace_expired instead of 1"),
        (_stand(status="in_grace"), "in_grace, canceled instead of uncollectible, canceled"),
        (_leave_an_attempt_open, "is still under way"),
    ],
)
def test_a_breach_is_named(change: Change, problem: str) -> None:
    assert any(problem in each for each in findings_after(change).problems)


def test_what_may_happen_is_counted_and_no_problem() -> None:
    """A mail in the one window, a mail whose outcome nobody knows, and an intent that nobody can confirm."""
    for change, counted in (
        (_mail_again(1), "doubled"),
        (_leave_a_mail_to_a_person, "given_up"),
        (_leave_an_intent("requires_confirmation"), "unconfirmed"),
    ):
        found = findings_after(change)
        assert (found.problems, getattr(found, counted)) == ([], 1)


def test_a_day_is_over_when_a_debt_stands_as_it_has_to_and_nothing_of_it_is_under_way() -> None:
    debt, seen = played()
    assert debt.stands(LAST_DAY)
    assert not debt.stands(14)
    for change in (_say_of_a_mail(state="waiting"), _leave_an_attempt_open, _stand(status="in_grace")):
        debt, seen = played()
        change(debt, seen)
        assert not debt.stands(LAST_DAY)


def test_the_clock_goes_to_the_next_retry_or_the_end_of_grace() -> None:
    debt, _ = played()
    at = "2026-12-02T01:37:01.000+00:00"
    debt.payment |= {"status": "past_due", "dunning": {"next_retry_at": at, "grace_ends_at": None, "mails": []}}
    seconds = datetime.fromisoformat(at).timestamp()
    assert (debt.due_at(3), debt.due_at(5)) == (seconds, None)
    debt.payment |= {"status": "in_grace", "dunning": {"next_retry_at": None, "grace_ends_at": at, "mails": []}}
    assert debt.due_at(LAST_DAY) == seconds
    assert Debt(SCRIPTS[0], {}, debt.payment).due_at(7) is None, "it was paid on day 3"


def test_every_script_is_played_before_any_comes_again() -> None:
    drawn = list(islice(all_scripts(random.Random(1)), 2 * len(SCRIPTS)))
    assert drawn[: len(SCRIPTS)] == list(SCRIPTS)
    assert drawn == list(islice(all_scripts(random.Random(1)), 2 * len(SCRIPTS)))


# What a worker does that reaches its failpoint at once, and one that has none.
_WORKER = f"""
import os, signal, time
if os.environ.get({FAILPOINT!r}):
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(3600)
"""


def _process(folder: Path, name: str, code: str) -> Process:
    return Process(name, [sys.executable, "-c", code], log=folder / f"{name}.log", env={})


def test_every_planned_death_happens_once_and_all_are_started_again(tmp_path: Path) -> None:
    workers = [_process(tmp_path, f"worker{number}", _WORKER) for number in (1, 2)]
    planned = ["charge.claimed", "sweep.marked", "mail.sent"]
    with Fire(workers, [_process(tmp_path, "beat", _WORKER)], [planned[:2], planned[2:]], random.Random(1)) as fire:
        assert wait_until(lambda: fire.deaths.total() >= 2, patient(20))
        fire.begin_round()
        assert wait_until(lambda: all(fire.deaths[point] == 1 for point in planned), patient(20))
        fire.cease()
        assert wait_until(lambda: all(process.is_running() for process in fire.processes), patient(20))
        assert not any(process.env for process in fire.processes)
    assert not fire.problems
    assert not any(process.is_running() for process in fire.processes)


def test_a_worker_that_ends_by_itself_is_a_problem(tmp_path: Path) -> None:
    broken = _process(tmp_path, "worker", "raise SystemExit('bug')")
    with Fire([broken], [], [], random.Random(1)) as fire:
        assert wait_until(lambda: bool(fire.problems), patient(20))
    assert fire.problems[0].splitlines() == ["worker ended by itself with the exit code 1", "  worker | bug"]
