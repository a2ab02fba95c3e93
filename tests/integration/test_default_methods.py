"""A user's default method: the one that an application chooses is tried for their debts at once, and the one with which
a customer has paid a debt becomes it."""

from __future__ import annotations

from typing import Any

import pytest

from domain.saved_method import token_hash
from models.tables import dunning_cases, outbox, saved_methods
from tests.integration.test_saved_accounts import Wallet
from tests.integration.test_saved_accounts import charge as charge_account
from tests.system import Json, System

pytestmark = pytest.mark.postgres
METHODS = "/customers/user/payment-methods"
SOFT = "insufficient_funds"


def save(system: System, card: str = "pm_card_visa", **more: Any) -> str:
    return str(system.request(METHODS, {"payment_method_token": card} | more)["payment_method_token"])


def in_dunning(system: System, *script: str, **more: Any) -> str:
    """Return a payment of a saved card that waits for its first retry."""
    card = save(system, system.provider.scripted_card(*(script or (SOFT, "success"))))
    payment_id = system.subscribe("inv", card, off_session=True, **more)
    assert system.state(payment_id) in ("past_due", "in_grace")
    return payment_id


def choose(system: System, token: str, user: str = "user") -> None:
    """Make a method the default of the user, as an application does."""
    response = system.post(f"/customers/{user}/payment-methods/{token}/default", {})
    assert (response.status_code, response.json["is_default"]) == (200, True)
    system.run_until_idle()


def defaults(system: System) -> list[str]:
    """Return the default methods as the provider has them."""
    listed: list[Json] = system.get(METHODS).json["payment_methods"]
    return [method["payment_method_token"] for method in listed if method["is_default"]]


def causes(system: System, payment_id: str) -> list[str | None]:
    return [row.cause for row in system.attempts(payment_id)]


# --- an application chooses ---


@pytest.mark.parametrize("script", [(SOFT, "success"), ("lost_card", "success")])
def test_a_chosen_default_is_tried_at_once_for_an_open_debt(system: System, script: tuple[str, ...]) -> None:
    payment_id = in_dunning(system, *script)
    token = save(system)
    choose(system, token)
    assert (system.state(payment_id), system.subscription_status()) == ("captured", "active")
    assert causes(system, payment_id) == [None, "method_updated"]
    assert system.payment(payment_id).method_token == token
    assert "payment_method_changed" in system.event_names(payment_id)
    # The retry that was planned is not made any more, and the same choice tries nothing again.
    choose(system, token)
    system.advance(days=15)
    assert system.provider.movements() == [("charge", 1230)]


def test_a_method_that_is_saved_as_the_default_is_tried_as_well(system: System) -> None:
    payment_id = in_dunning(system)
    save(system, default=True)
    system.run_until_idle()
    assert system.state(payment_id) == "captured"


def test_one_that_is_declined_leaves_the_plan_and_is_what_the_plan_tries(system: System) -> None:
    payment_id = in_dunning(system)
    due_at = system.dunning_case(payment_id).due_at
    token = save(system, system.provider.scripted_card(SOFT, "success"))
    choose(system, token)
    case = system.dunning_case(payment_id)
    assert (system.state(payment_id), case.retry, case.due_at) == ("past_due", 1, due_at)
    system.advance(days=3, minutes=1)
    assert (system.state(payment_id), system.payment(payment_id).method_token) == ("captured", token)


def test_a_dead_default_and_one_of_another_user_or_currency_try_nothing(system: System) -> None:
    payment_id = in_dunning(system)
    dead = save(system, system.provider.scripted_card("lost_card"))
    system.pay("dead", dead, off_session=True)
    system.run_until_idle()
    choose(system, dead)
    theirs = system.request("/customers/bob/payment-methods", {"payment_method_token": "pm_card_visa"})
    choose(system, theirs["payment_method_token"], "bob")
    choose(system, save(system, "pm_usBankAccount_success"))
    assert (system.state(payment_id), causes(system, payment_id)) == ("past_due", [None])


def test_a_default_account_is_tried_for_the_debt_of_another_account(system: System) -> None:
    wallet = Wallet(system)
    first, second = wallet.save(), wallet.save()
    wallet.bench.set_scenario(first, "INSTRUMENT_DECLINED")
    payment_id = charge_account(system, payment_method_token=first).json["id"]
    assert system.state(payment_id) == "past_due"
    choose(system, second, "ada")
    assert system.state(payment_id) == "captured"


# --- a customer pays a debt ---


def pay_otherwise(system: System, card: str | None, **more: Any) -> str:
    """Pay the debt as a customer who is there; return the payment's id."""
    payment_id = system.pay("inv", card or "", **{"off_session": False} | more)
    system.run_until_idle()
    assert system.state(payment_id) == "captured"
    return payment_id


def test_the_saved_method_with_which_a_customer_pays_a_debt_becomes_the_default(system: System) -> None:
    old = save(system, "pm_card_mastercard", default=True)
    payment_id = in_dunning(system)
    token = save(system)
    system.provider.fail("customers.update", "error_before")
    paid = pay_otherwise(system, token)
    assert (system.dunning_case(payment_id).state, causes(system, paid)) == ("recovered", ["customer_retry"])
    assert defaults(system) == [old]
    system.advance(minutes=2)
    assert defaults(system) == [token]
    [row] = system.rows(outbox, outbox.c.destination == "provider")
    assert (row.state, row.tries) == ("sent", 1)
    [known] = system.rows(saved_methods, saved_methods.c.is_default)
    assert known.token_hash == token_hash(token)


def test_a_method_that_the_customer_has_not_saved_becomes_nothing(system: System) -> None:
    old = save(system, "pm_card_mastercard", default=True)
    in_dunning(system)
    pay_otherwise(system, "pm_card_visa")
    system.advance(seconds=31)
    assert defaults(system) == [old]
    [row] = system.rows(outbox, outbox.c.destination == "provider")
    assert (row.state, row.last_error) == ("suppressed", "not_saved")


def test_a_bug_of_ours_is_counted_and_the_default_is_made_later(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_dunning(system)
    token = save(system)

    def fail(*given: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "make_default", fail)
        with pytest.raises(RuntimeError):
            pay_otherwise(system, token)
    [row] = system.rows(outbox, outbox.c.destination == "provider")
    assert (row.state, row.failures, defaults(system)) == ("waiting", 1, [])
    system.advance(minutes=1)
    assert defaults(system) == [token]


def test_a_later_choice_of_the_application_is_kept(system: System) -> None:
    in_dunning(system)
    system.provider.fail("customers.update", "error_before")
    pay_otherwise(system, save(system))
    chosen = save(system, "pm_card_mastercard")
    choose(system, chosen)
    system.advance(minutes=3)
    assert defaults(system) == [chosen]


@pytest.mark.parametrize("is_dunned", [True, False])
def test_what_an_application_charges_and_what_is_no_debt_changes_no_default(system: System, is_dunned: bool) -> None:
    old = save(system, "pm_card_mastercard", default=True)
    if is_dunned:
        in_dunning(system)
    pay_otherwise(system, save(system), off_session=is_dunned)
    system.advance(seconds=31)
    assert (defaults(system), system.rows(outbox)) == ([old], [])
    assert [row.state for row in system.rows(dunning_cases)] == ["recovered"] * is_dunned


def test_a_paypal_account_that_pays_a_debt_becomes_the_default_here(system: System) -> None:
    wallet = Wallet(system)
    first, second = wallet.save(), wallet.save()
    wallet.bench.set_scenario(first, "INSTRUMENT_DECLINED")
    assert system.state(charge_account(system, payment_method_token=first).json["id"]) == "past_due"
    paid = charge_account(system, payment_method_token=second, off_session=False).json["id"]
    assert system.state(paid) == "captured"
    system.advance(seconds=31)
    listed = system.get("/customers/ada/payment-methods").json["payment_methods"]
    assert [each["payment_method_token"] for each in listed if each["is_default"]] == [second]
