"""A person is erased: nothing that is stored names them any more, and the books are as they were."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from domain.errors import Conflict, NotFound
from models.ends import rows_without_end
from models.erase import Erased, erase_user
from models.movements import differences
from models.session import read, transact
from models.tables import (
    customers,
    events,
    fraud_counters,
    fraud_entities,
    fraud_links,
    fraud_signals,
    movements,
    outbox,
    payments,
    webhook_events,
)
from tests.system import INSUFFICIENT_FUNDS, System, payment_request

pytestmark = pytest.mark.postgres

FACTS = {
    "ip_address": "203.0.113.9",
    "device_fingerprint": "canary-device",
    "email": "canary@shop.example",
    "billing_address": {"line1": "12 Canary St", "city": "Springfield", "country": "DE"},
    "card": {"fingerprint": "card", "bin": "424242"},
}
PERSONAL = {"user", "email", "address", "device"}


def pay(system: System, invoice: str, user: str = "ada", card: str = "pm_card_visa", **changes: Any) -> str:
    body = payment_request(invoice, card) | FACTS | {"user_id": user} | changes
    payment_id = system.accept(body)["id"]
    system.run_until_idle()
    return str(payment_id)


def erase(system: System, user: str = "ada", application: str = "shop") -> Erased:
    return system.runtime.change("cli", erase_user, user, application)


def books(system: System) -> list[Any]:
    """Return everything that the books are made of."""
    payer = {"payer", "updated_at"}
    rows = [{name: value for name, value in row._mapping.items() if name not in payer} for row in system.rows(payments)]
    kept = [
        tuple(row) for table in (movements, events) for row in system.rows(table) if "user_erased" not in tuple(row)
    ]
    return [*rows, *kept]


@pytest.fixture
def known(system: System) -> System:
    """A system that knows a user by payments, mails, signals and events; and another user."""
    body = {"email": "canary@mail.example", "name": "Ada Canary", "country": "DE", "time_zone": "Europe/Berlin"}
    assert system.call("PUT", "/customers/ada", body).status_code == 201
    paid = pay(system, "inv_1")
    pay(system, "inv_2", card=INSUFFICIENT_FUNDS)
    of_bob = {"email": "bob@shop.example", "device_fingerprint": "device of bob", "billing_address": {"country": "DE"}}
    pay(system, "inv_3", user="bob", **of_bob)
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", system.reference(paid)))
    assert "canary" in system.dump().lower()
    return system


def test_nothing_names_the_person_and_the_books_are_as_they_were(known: System) -> None:
    before, stored = books(known), {row.entity for row in known.rows(fraud_entities)}
    erased = erase(known)
    assert (erased.payments, erased.left, erased.webhook_events) == (2, 0, 1)
    assert erased.signals >= 3
    assert erased.entities == len(PERSONAL)
    assert "canary" not in known.dump().lower()
    assert books(known) == before
    assert read(known.engine, lambda connection: list(differences(connection))) == []
    assert read(known.engine, rows_without_end) == []
    left = {row.entity for row in known.rows(fraud_entities)}
    assert len(stored - left) == len(PERSONAL)
    gone = stored - left
    assert not any(row.entity in gone for row in known.rows(fraud_counters))
    assert not any({row.entity, row.other} & gone for row in known.rows(fraud_links))


def test_the_signals_stay_and_name_nobody(known: System) -> None:
    before = known.row_counts()["fraud_signals"]
    erase(known)
    of_bob = [row for row in known.rows(fraud_signals) if row.entities]
    assert known.row_counts()["fraud_signals"] == before
    assert [set(row.entities) >= PERSONAL - {"address"} for row in of_bob] == [True]


def test_another_user_and_another_application_are_left_alone(known: System) -> None:
    body = payment_request("inv_1", "pm_card_visa") | FACTS | {"user_id": "ada"}
    other = known.request("/process", body, caller="other", Idempotency_Key="1")["id"]
    known.run_until_idle()
    erase(known)
    [bob] = known.rows(payments, payments.c.user_id == "bob")
    assert bob.payer["email"] == "bob@shop.example"
    assert known.payment(other).payer["email"] == FACTS["email"]


def test_it_can_be_repeated_and_records_no_personal_data(known: System) -> None:
    erase(known)
    again = erase(known)
    assert again == Erased(0, 0, 0, 0, 0)
    [first, _] = known.rows(events, events.c.name == "user_erased")
    assert (first.actor, first.payment_id, first.data["payments"]) == ("cli", None, 2)
    assert "ada" not in str(first.data)


def test_a_payment_that_is_still_collected_keeps_its_payer_until_it_has_ended(known: System) -> None:
    debt = pay(known, "inv_4", card=INSUFFICIENT_FUNDS, subscription_id="sub")
    assert known.state(debt) == "past_due"
    assert erase(known).left == 1
    assert known.payment(debt).payer is not None
    known.request(f"/{debt}/cancel")
    assert (erase(known).payments, known.payment(debt).payer) == (1, None)


def test_mails_that_wait_are_not_sent_and_name_nobody(known: System) -> None:
    erase(known)
    [row] = known.rows(customers)
    assert (row.email, row.name, row.country, row.time_zone, row.mail_status) == (None, None, None, None, "ok")
    assert "canary" not in str(known.rows(outbox))


def test_the_same_person_begins_anew(known: System) -> None:
    erase(known)
    pay(known, "inv_5")
    newest = known.get(f"/{pay(known, 'inv_6')}", caller="operator").json["fraud"]
    assert newest["screened"]


def test_who_stands_for_many_people_is_not_erased(known: System) -> None:
    pay(known, "inv_7", user="guest")
    with pytest.raises(Conflict, match="many people"):
        erase(known, "guest")


def test_an_unknown_user_is_an_error(known: System) -> None:
    with pytest.raises(NotFound):
        erase(known, "adda")
    with pytest.raises(NotFound):
        erase(known, "ada", "school")


def test_an_event_that_waits_for_a_person_keeps_its_payload(known: System) -> None:
    held = update(webhook_events).values(status="contradicting")
    transact(known.engine, lambda connection: connection.execute(held))
    assert erase(known).webhook_events == 0
    assert known.rows(webhook_events)[0].payload != "{}"
