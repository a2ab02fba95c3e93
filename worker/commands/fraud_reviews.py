"""`payments reviews`: payments that wait for a person, and what they decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from models.fraud.requests import ApproveReview, ClaimReview, RejectReview
from models.fraud.review_requests import list_reviews, request_approval, request_claim, request_rejection
from models.idempotency import ApiResponse, Caller
from worker.commands.open_runtime import ACTOR, open_runtime

_MOST_REVIEWS = 200
_by = click.option("--by", default="", help="Your name, if several people use these commands.")


@click.group()
def reviews() -> None:
    """Payments that wait for a person."""


@reviews.command("list")
def list_command() -> None:
    """List what waits, oldest first, with why."""
    after = None
    with open_runtime() as runtime:
        now = runtime.clock.now()
        while page := runtime.read(list_reviews, now, after=after, limit=_MOST_REVIEWS):
            for review in page:
                _print(review)
            after = page[-1]["id"]


@reviews.command()
@click.argument("payment_id")
@click.option("--release", is_flag=True, help="Give it back.")
@_by
def claim(payment_id: str, by: str, *, release: bool) -> None:
    """Take a review in hand for 15 minutes, so that no one else decides it."""
    with open_runtime() as runtime:
        review = runtime.change(_actor(by), request_claim, payment_id, ClaimReview(release=release))
    _print(review)


@reviews.command()
@click.argument("payment_id")
@click.option("--reason", help="Why; it is kept in the audit trail. No personal data.")
@_by
def approve(payment_id: str, reason: str | None, by: str) -> None:
    """Charge the payment."""
    _decide(request_approval, payment_id, ApproveReview.parse({"reason": reason}), by)


@reviews.command()
@click.argument("payment_id")
@click.option("--reason", required=True, help="Why; it is kept in the audit trail. No personal data.")
@click.option("--fraud/--no-fraud", "is_fraud", default=None, help="A label, if you are sure enough for one.")
@_by
def reject(payment_id: str, reason: str, by: str, *, is_fraud: bool | None) -> None:
    """End the payment uncharged."""
    _decide(request_rejection, payment_id, RejectReview.parse({"reason": reason, "is_fraud": is_fraud}), by)


def _decide(operation: Callable[..., ApiResponse], payment_id: str, request: Any, by: str) -> None:
    actor = _actor(by)
    with open_runtime() as runtime:
        response = runtime.change(actor, operation, payment_id, request, Caller(None, actor), None)
        runtime.publish(response.messages)
    click.echo(f"{payment_id}  {response.body['status']}")


def _actor(by: str) -> str:
    return f"{ACTOR}:{by}"[:120] if by else ACTOR


def _print(review: dict[str, Any]) -> None:
    amount = f"{review['amount']} {review['currency']}"
    hand = f"  in hand of {review['claimed_by']} until {review['claimed_until']}" if review["claimed_by"] else ""
    fraud = review["fraud"]
    age = f"waits {review['age_minutes']} min, until {review['expires_at']}"
    click.echo(
        f"{review['payment_id']}  {review['application']}  {amount:>14}  score {fraud.get('score', '-')}  {age}{hand}"
    )
    for reason in fraud.get("reasons", []):
        click.echo(f"  {reason['points']:>4}  {reason['sentence']}")
    if fraud.get("unavailable"):
        click.echo(f"  not known: {', '.join(fraud['unavailable'])}")
