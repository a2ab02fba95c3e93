"""`payments dunning`: the cases, what happens next on each, and what an operator does about one."""

from __future__ import annotations

from typing import Any

import click

from domain.dunning.case import CaseState
from models.api_request import ApiRequest
from models.due_rows import publish_due_cases
from models.dunning_requests import request_on_case
from models.dunning_view import list_cases, show_case
from models.idempotency import Caller
from models.request_bodies import ExtendGrace, PauseCase, ResumeCase, RetryCaseNow, StopCase
from models.unknown_codes import list_unknown_codes
from worker.commands.dunning_simulate import simulate
from worker.commands.dunning_statistics import statistics
from worker.commands.open_runtime import ACTOR, open_runtime

_MOST_CASES = 200
_reason = click.option("--reason", required=True, help="Why; it is kept in the audit trail. No personal data.")
_until = click.option("--until", required=True, help="An instant with its zone: 2026-12-24T12:00:00Z.")


@click.group()
def dunning() -> None:
    """Debts that are collected again, and what happens next on each."""


@dunning.command("list")
@click.option("--state", type=click.Choice([state.value for state in CaseState]), help="Only cases in this state.")
def list_command(state: str | None) -> None:
    """List the cases, oldest first."""
    after, only = None, CaseState(state) if state else None
    with open_runtime() as runtime:
        while page := runtime.read(list_cases, None, state=only, after=after, limit=_MOST_CASES):
            for case in page:
                click.echo(_line(case))
            after = page[-1]["id"]


@dunning.command()
@click.argument("case_id")
def show(case_id: str) -> None:
    """Show a case: every try, what happened, and what happens next, when and why."""
    with open_runtime() as runtime:
        case = runtime.read(show_case, case_id, None)
    click.echo(_line(case))
    click.echo(f"  invoice {case['invoice_id']}  subscription {case['subscription_id'] or '-'}")
    click.echo(f"  policy {' '.join(f'{name}={value}' for name, value in case['policy'].items())}")
    for attempt in case["attempts"]:
        code = attempt.get("decline_code") or attempt.get("code", "")
        click.echo(f"  try {attempt['number']}  {attempt.get('cause', 'first')}  {attempt['status']}  {code}".rstrip())
    for event in case["events"]:
        click.echo(f"  {event['at']}  {event['name']:<26}  {event['actor']}")
    click.echo(f"  next: {_next(case)}")


@dunning.command()
@click.argument("case_id")
@_reason
def stop(case_id: str, reason: str) -> None:
    """Stop the collection; the subscription stays as it is."""
    _ask(case_id, StopCase, reason=reason)


@dunning.command()
@click.argument("case_id")
@_reason
@_until
def pause(case_id: str, reason: str, until: str) -> None:
    """Let the case wait until an instant."""
    _ask(case_id, PauseCase, reason=reason, until=until)


@dunning.command()
@click.argument("case_id")
@_reason
def resume(case_id: str, reason: str) -> None:
    """Go on with a case that waits."""
    _ask(case_id, ResumeCase, reason=reason)


@dunning.command("retry-now")
@click.argument("case_id")
@_reason
def retry_now(case_id: str, reason: str) -> None:
    """Try to collect the debt at once, beside the plan."""
    _ask(case_id, RetryCaseNow, reason=reason)


@dunning.command("extend-grace")
@click.argument("case_id")
@_reason
@_until
def extend_grace(case_id: str, reason: str, until: str) -> None:
    """Move the end of grace to a later instant."""
    _ask(case_id, ExtendGrace, reason=reason, until=until)


@dunning.command("process-retries")
def process_retries() -> None:
    """Run the retries that are due, as beat does."""
    _run(CaseState.RETRYING)


@dunning.command("check-grace-periods")
def check_grace_periods() -> None:
    """Run the ends of grace that are due, as beat does."""
    _run(CaseState.IN_GRACE)


@dunning.command("unknown-codes")
def unknown_codes_command() -> None:
    """List the codes of declines that no table has, the most frequent first."""
    with open_runtime() as runtime:
        codes = runtime.read(list_unknown_codes)
    for code in codes:
        click.echo("{count:>7}  {provider}  {field}  {code}  first {first_seen_at}  last {last_seen_at}".format(**code))
    if not codes:
        click.echo("every code of a decline is in the tables")


dunning.add_command(simulate)
dunning.add_command(statistics)


def _ask(case_id: str, asked: type[ApiRequest], **fields: Any) -> None:
    with open_runtime() as runtime:
        request = asked.parse(fields)
        response = runtime.change(ACTOR, request_on_case, case_id, request, Caller(None, ACTOR), None)
        runtime.publish(response.messages)
    click.echo(_line(response.body))
    click.echo(f"  next: {_next(response.body)}")


def _run(state: CaseState) -> None:
    with open_runtime() as runtime:
        messages = runtime.change(ACTOR, publish_due_cases, state)
        runtime.publish(messages)
    click.echo(f"{len(messages)} published")


def _line(case: dict[str, Any]) -> str:
    due = case["next"]["at"] if case["next"] else ""
    amount = f"{case['amount']} {case['currency']}"
    return (
        f"{case['id']}  {case['status']:<9}  {amount:>14}  {case['payment_id']}  tries {case['tries']}  {due}".rstrip()
    )


def _next(case: dict[str, Any]) -> str:
    step = case["next"]
    if step is None:
        return "nothing, the case is closed"
    return f"{step['what']}  {step['at'] or 'soon'}  {step['why']}"
