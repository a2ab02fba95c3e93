"""Payments of an earlier release, whose provider goes on: what it shows later completes the derived movements and books
nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from click.testing import CliRunner

from domain.commands import Blocked
from domain.payment import Verb
from models import transition
from models.migrate import upgrade
from models.tables import attention, movements
from models.task_messages import COMPARE
from tests.integration.test_amount_mismatch import PAID, paid_with_another_amount
from tests.integration.test_comparison import refund_elsewhere, request_elsewhere, taken
from tests.integration.test_migration_rows import migrate
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, LOST_CARD, System, running_system
from worker.commands import open_runtime
from worker.commands.group import payments as commands


@pytest.fixture
def system(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system on SQLite: nothing here happens at once."""
    with running_system(sqlite_url) as running:
        running.tasks_run_in(monkeypatch)
        monkeypatch.setattr(open_runtime, "app", type("App", (), {"runtime": lambda self: running.runtime})())
        yield running


def paid(system: System, name: str, card: str = "pm_card_visa", **changes: Any) -> str:
    payment_id = system.pay(name, card, **changes)
    system.run_until_idle()
    return payment_id


def asked(system: System, payment_id: str, verb: str, **body: Any) -> str:
    system.request(f"/{payment_id}/{verb}", body, Idempotency_Key=f"{payment_id}-{verb}")
    system.run_until_idle()
    return payment_id


def blocked(system: System) -> str:
    """Return a payment that the fraud rules have blocked."""
    payment_id = system.pay("blocked")
    system.runtime.change("test", transition.apply, system.attempts(payment_id)[0].id, Blocked())
    return payment_id


def recorded(system: System) -> str:
    """Return a payment by invoice whose money an operator has seen."""
    payment_id = paid(system, "by invoice", payment_method="invoice", payment_method_token=None)
    body = {"reference": "statement 7"}
    response = system.post(f"/admin/payments/{payment_id}/record", body, caller="operator", Idempotency_Key="seen")
    assert response.status_code < 300, response.text
    return payment_id


def histories(system: System) -> dict[str, str]:
    """Return a payment in each state that money can be in at a provider, and in each that it has left."""
    debit = system.provider.saved_bank_account()
    long_ago = {
        "paid twice": system.pay_twice(),
        "expired": paid(system, "lapsed", capture=False),
        "uncollectible": system.subscribe("given up", LOST_CARD, subscription_id="lost"),
    }
    system.advance(days=8)
    for _ in range(30):
        system.advance(days=1)
    paypal, paypal_gateway = taken(system, "paypal", invoice="paypal")
    klarna, klarna_gateway = taken(system, "klarna", invoice="klarna", capture=False)
    made = long_ago | {
        "review": paid(system, "large", amount="30000.00"),
        "mismatch": paid_with_another_amount(system, "other-amount")[0],
        "blocked": blocked(system),
        "failed": paid(system, "nobody", "pm_none"),
        "canceled": asked(system, paid(system, "left", "pm_card_authenticationRequired"), "cancel"),
        "in grace": system.subscribe("grace", LOST_CARD, subscription_id="ending", user_id="another user"),
        "recorded": recorded(system),
        "refunded at PayPal": paypal,
        "captured at Klarna": klarna,
        "captured": paid(system, "captured"),
        "part refunded": asked(system, paid(system, "part"), "refunds", amount="5.00"),
        "refunded": asked(system, paid(system, "all"), "refunds"),
        "refund pending": asked(system, paid(system, "slow", "pm_card_pendingRefund"), "refunds", amount="5.00"),
        "refund failed later": asked(system, paid(system, "back", "pm_card_refundFail"), "refunds", amount="5.00"),
        "authorized": paid(system, "held", capture=False),
        "part captured": asked(system, paid(system, "some", capture=False), "capture", amount="5.00"),
        "voided": asked(system, paid(system, "voided", capture=False), "cancel"),
        "pending": paid(system, "debit", **debit),
        "requires action": paid(system, "3ds", "pm_card_authenticationRequired"),
        "declined": paid(system, "declined", INSUFFICIENT_FUNDS),
        "past due": system.subscribe("due", INSUFFICIENT_FUNDS, subscription_id="other"),
        "disputed later": paid(system, "disputed"),
        "refunded elsewhere": paid(system, "elsewhere"),
        "captured elsewhere": paid(system, "dashboard", capture=False),
    }
    back = str(system.attempts(made["refund failed later"])[1].provider_reference)
    assert system.payment(made["refund failed later"]).refunded == 500
    system.provider.decide_at_bank(back, "failure")
    system.provider.call(
        "POST", "/v1/refunds", {"payment_intent": system.reference(made["refunded elsewhere"]), "amount": 500}
    )
    system.provider.call("POST", f"/v1/payment_intents/{system.reference(made['captured elsewhere'])}/capture")
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", system.reference(made["mismatch"])))
    refund_elsewhere(system, paypal, paypal_gateway, 500)
    klarna_gateway.capture(request_elsewhere(system, klarna, Verb.CAPTURE, 500))
    system.provider.fail("payment_intents.confirm", "reset_after")
    made["in doubt"] = paid(system, "doubt")
    return made


def as_of_0002(system: System) -> None:
    """Take the database back to the earlier release, and bring it up again."""
    system.engine.dispose()
    migrate(system.engine, command.downgrade, "0002")
    upgrade(system.engine)


def later(system: System, made: dict[str, str]) -> None:
    """Let what is under way come to its end at the provider, and Celeriac look at everything again."""
    dispute = {"reason": "fraudulent"}
    opened = system.provider.control(f"intents/{system.reference(made['disputed later'])}/dispute", dispute)
    system.provider.control(f"disputes/{opened['id']}/close", {"result": "lost"})
    system.provider.decide_at_bank(system.reference(made["pending"]), "success")
    pending = str(system.attempts(made["refund pending"])[1].provider_reference)
    system.provider.decide_at_bank(pending, "success")
    for event in reversed(system.provider.call("GET", "/v1/events?limit=100")["data"]):
        system.deliver_and_run(event)
    system.advance(minutes=5)
    result = CliRunner().invoke(commands, ["compare"])
    assert result.exit_code == 0, result.output
    system.run_until_idle()
    system.advance(minutes=5)
    system.move_clock(days=1, hours=2)
    system.run(COMPARE)
    system.run_until_idle()


# What the books must show at the end: state, captured, refunded, reversed, duplicated.
ENDS = {
    "paid twice": ("captured", AMOUNT, 0, 0, AMOUNT),
    "captured": ("captured", AMOUNT, 0, 0, 0),
    "part refunded": ("partially_refunded", AMOUNT, 500, 0, 0),
    "refunded": ("refunded", AMOUNT, AMOUNT, 0, 0),
    "refund pending": ("partially_refunded", AMOUNT, 500, 0, 0),
    "refund failed later": ("captured", AMOUNT, 0, 0, 0),
    "authorized": ("authorized", 0, 0, 0, 0),
    "part captured": ("captured", 500, 0, 0, 0),
    "voided": ("voided", 0, 0, 0, 0),
    "pending": ("captured", AMOUNT, 0, 0, 0),
    "declined": ("declined", 0, 0, 0, 0),
    "past due": ("past_due", 0, 0, 0, 0),
    "disputed later": ("reversed", AMOUNT, 0, AMOUNT, 0),
    "refunded elsewhere": ("partially_refunded", AMOUNT, 500, 0, 0),
    "captured elsewhere": ("captured", AMOUNT, 0, 0, 0),
    "in doubt": ("captured", AMOUNT, 0, 0, 0),
    # Nobody has decided in time.
    "review": ("canceled", 0, 0, 0, 0),
    "mismatch": ("amount_mismatch", 0, 0, 0, 0),
    "blocked": ("blocked", 0, 0, 0, 0),
    "failed": ("failed", 0, 0, 0, 0),
    "canceled": ("canceled", 0, 0, 0, 0),
    "expired": ("expired", 0, 0, 0, 0),
    "in grace": ("in_grace", 0, 0, 0, 0),
    "uncollectible": ("uncollectible", 0, 0, 0, 0),
    "recorded": ("captured", AMOUNT, 0, 0, 0),
    "refunded at PayPal": ("partially_refunded", AMOUNT, 500, 0, 0),
    "captured at Klarna": ("captured", 500, 0, 0, 0),
}


WITHOUT_MONEY = {
    *("in_doubt", "review", "amount_mismatch", "blocked", "failed", "canceled"),
    *("expired", "in_grace", "uncollectible", "declined", "past_due"),
}


def test_what_the_provider_shows_later_completes_the_opening_movements(system: System) -> None:
    made = histories(system)
    as_of_0002(system)
    derived = system.rows(movements)
    assert {row.source for row in derived} == {"migration"}
    states = {system.state(payment_id) for payment_id in made.values()}
    assert states >= WITHOUT_MONEY
    later(system, made)
    rows = {name: system.payment(payment_id) for name, payment_id in made.items()}
    found = {name: (row.state, row.captured, row.refunded, row.reversed, row.duplicated) for name, row in rows.items()}
    assert {name: found[name] for name in ENDS} == ENDS
    assert rows["mismatch"].received == PAID
    assert system.rows(movements)[: len(derived)] == derived
    verified = CliRunner().invoke(commands, ["ledger", "verify"])
    assert verified.exit_code == 0, verified.output
    charged = sum(amount for kind, amount in system.provider.movements() if kind in ("charge", "capture"))
    del rows["recorded"]  # no provider has seen it
    assert sum(row.captured + row.duplicated + row.received for row in rows.values()) == charged


def test_a_duplicate_of_an_earlier_release_is_given_back(system: System) -> None:
    payment_id = system.pay_twice()
    as_of_0002(system)
    assert system.payment(payment_id).duplicated == AMOUNT
    [entry] = system.rows(attention, attention.c.closed_at.is_(None))
    assert (entry.reason, entry.payment_id, entry.amount) == ("duplicate", payment_id, AMOUNT)
    decision = {"action": "give_back", "note": "paid twice"}
    system.request(f"/{payment_id}/refunds", Idempotency_Key="good")
    answer = system.post(
        f"/admin/attention/{entry.id}/resolve", decision, caller="operator", Idempotency_Key="give back"
    )
    assert answer.status_code == 202, answer.text
    system.run_until_idle()
    assert system.provider.movements() == [("charge", AMOUNT)] * 2 + [("refund", AMOUNT)] * 2
    payment = system.payment(payment_id)
    assert (payment.state, payment.refunded, payment.duplicated) == ("refunded", AMOUNT, 0)
