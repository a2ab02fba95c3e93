"""What the demo plays: each case an order, what happens to it on the way, and the rest it has to come to."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from stack.client import DemoError, Json, Merchant, Provider

ALWAYS_INSUFFICIENT = "pm_card_visa_chargeDeclinedInsufficientFunds"
SEPA_TEST_IBAN = "DE89370400440532013000"


@dataclass
class World:
    """Who takes part."""

    merchant: Merchant
    operator: Merchant
    provider: Provider
    advance_days: Callable[[int], None]


@dataclass
class Case:
    """One payment of the demo; `id` is known once it was enqueued."""

    title: str
    rests: str
    order: Json
    on_the_way: Callable[[World, Case], None] = lambda world, case: None
    id: str = ""
    payment: Json = field(default_factory=dict)
    problem: str = ""


def order(token: str = "pm_card_visa", amount: str = "24.90", currency: str = "EUR", **more: object) -> Json:
    """Return the body of one `POST /process`, for an invoice and a customer of its own."""
    unique = secrets.token_hex(6)
    return {
        "invoice_id": f"inv-{unique}",
        "user_id": f"user-{unique}",
        "amount": amount,
        "currency": currency,
        "payment_method": "credit_card",
        "payment_method_token": token,
        "email": f"user-{unique}@example.com",
        **more,
    }


def lost_answer() -> Case:
    """The provider charges and never says so; goes alone, as the fault meets whichever payment is next."""
    return Case("provider's answer lost", "captured", order(amount="61.00"))


def independent_cases(provider: Provider) -> list[Case]:
    """Return the payments that need no clock."""
    return [
        Case("card", "captured", order()),
        Case("card in yen, without cents", "captured", order(amount="4200", currency="JPY")),
        Case("card, declined", "declined", order("pm_card_chargeDeclined")),
        Case("card, insufficient funds", "declined", order(ALWAYS_INSUFFICIENT)),
        Case(
            "card, 3D Secure passed",
            "captured",
            order("pm_card_authenticationRequired", return_url="https://shop.example/thanks"),
            pass_3d_secure,
        ),
        Case("authorized, part captured", "captured", order(amount="80.00", capture=False), capture_part),
        Case("authorized, canceled", "voided", order(amount="75.00", capture=False), cancel),
        Case("captured, part refunded", "partially_refunded", order(amount="30.00"), refund_part),
        Case("captured, all refunded", "refunded", order(amount="19.99"), refund_all),
        Case(
            "SEPA debit, settled later",
            "captured",
            order(provider.bank_account(SEPA_TEST_IBAN), "49.00", payment_method="sepa_debit"),
            settle,
        ),
        Case("card, too much: to review", "review", order(amount="25000.00")),
    ]


def pass_3d_secure(world: World, case: Case) -> None:
    world.provider.authenticate(world.merchant.wait_status(case.id, "requires_action"))


def capture_part(world: World, case: Case) -> None:
    world.merchant.wait_status(case.id, "authorized")
    world.merchant.capture(case.id, "55.00")


def cancel(world: World, case: Case) -> None:
    world.merchant.wait_status(case.id, "authorized")
    world.merchant.cancel(case.id)


def refund_part(world: World, case: Case) -> None:
    world.merchant.wait_status(case.id, "captured")
    world.merchant.refund(case.id, "5.00")


def refund_all(world: World, case: Case) -> None:
    world.merchant.wait_status(case.id, "captured")
    world.merchant.refund(case.id, case.order["amount"])


def settle(world: World, case: Case) -> None:
    world.provider.settle(world.merchant.wait_status(case.id, "pending"))


def subscriptions(provider: Provider) -> tuple[Case, Case]:
    """Return one that finds money on day 7, and one that never does."""
    script = ("insufficient_funds", "insufficient_funds", "success")
    return (
        subscription_case("subscription paid on day 7", "captured", provider.card(*script)),
        subscription_case("subscription lost on day 21", "uncollectible", ALWAYS_INSUFFICIENT),
    )


def subscription_case(title: str, rests: str, token: str) -> Case:
    return Case(title, rests, order(token, "9.90", subscription_id=f"sub-{secrets.token_hex(6)}"))


def live_three_weeks(world: World, recovering: Case, lost: Case) -> None:
    """Move the clock to each due day, and wait for what has to happen on it."""
    for case in (recovering, lost):
        wait_for_retry(world, case, failed=1)
    world.advance_days(3)
    for case in (recovering, lost):
        wait_for_retry(world, case, failed=2)
    world.advance_days(4)
    world.merchant.wait_status(recovering.id, "captured")
    wait_for_retry(world, lost, failed=3)
    world.advance_days(7)
    world.merchant.wait_status(lost.id, "in_grace")
    world.advance_days(7)
    world.merchant.wait_status(lost.id, "uncollectible")
    check_canceled(world, lost.order["subscription_id"])


def check_canceled(world: World, subscription_id: str) -> None:
    status = world.merchant.subscription(subscription_id)["status"]
    if status != "canceled":
        raise DemoError(f"subscription {subscription_id} is {status} instead of canceled")


def wait_for_retry(world: World, case: Case, failed: int) -> None:
    """Wait until a payment has failed that often and its next retry is planned."""

    def is_planned(payment: Json) -> bool:
        is_waiting = payment["status"] == "past_due" and bool((payment["dunning"] or {}).get("next_retry_at"))
        return is_waiting and len(payment["attempts"]) == failed

    world.merchant.wait_for(case.id, is_planned, f"past_due after {failed} failures")
