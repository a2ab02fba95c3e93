"""The older verbs, saved payment methods and the operators' view: other names for the same intake and charge path."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import Deployment, Json, hosted_body, subscription_body, unique

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]


def opened(deployment: Deployment, verb: str, method: str, **more: object) -> Json:
    """Return what an older verb answers with."""
    body = {name: value for name, value in hosted_body(method, **more).items() if name != "payment_method"}
    response = deployment.merchant.send("POST", verb, body, idempotency_key=unique("key"))
    assert response.status_code == 201, response.text
    found: Json = response.json()
    return found


# --- PayPal ---------------------------------------------------------------------------------------------


def test_a_paypal_order_is_approved_and_captured(deployment: Deployment) -> None:
    order = opened(deployment, "/paypal-order", "paypal")
    early = deployment.merchant.send("POST", f"/paypal-capture/{order['order_id']}")
    assert (early.status_code, early.json()["type"]) == (409, "order_not_approved")

    deployment.provider.disturb(paused=True)
    deployment.provider.decide({"next_action": {"redirect_url": order["approve_url"]}}, "approve")
    done = deployment.merchant.send("POST", f"/paypal-capture/{order['order_id']}")
    deployment.provider.disturb(paused=False)
    assert (done.status_code, done.json()["status"]) == (200, "captured")
    deployment.assert_charged_once(order["payment_id"])
    again = deployment.merchant.send("POST", f"/paypal-capture/{order['order_id']}")
    assert (again.status_code, again.json()["status"]) == (200, "captured")
    deployment.assert_charged_once(order["payment_id"])


def test_a_declined_order_is_a_decline(deployment: Deployment) -> None:
    order = opened(deployment, "/paypal-order", "paypal")
    deployment.provider.decide({"next_action": {"redirect_url": order["approve_url"]}}, "decline")
    refused = deployment.merchant.send("POST", f"/paypal-capture/{order['order_id']}")
    assert (refused.status_code, refused.json()["type"]) == (400, "payment_declined")


def test_the_same_order_again_is_no_second_order(deployment: Deployment) -> None:
    body = {name: value for name, value in hosted_body("paypal").items() if name != "payment_method"}
    key = unique("key")
    first, second = (deployment.merchant.send("POST", "/paypal-order", body, idempotency_key=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["order_id"] == second.json()["order_id"]


def test_an_unknown_order_is_not_found(deployment: Deployment) -> None:
    unknown = deployment.merchant.send("POST", "/paypal-capture/5O190127TN364715T")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "not_found")
    charge = opened(deployment, "/crypto-charge", "cryptocurrency")["charge_id"]
    assert deployment.merchant.send("POST", f"/paypal-capture/{charge}").status_code == 404


# --- crypto ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coin", ["cryptocurrency", "bitcoin"])
def test_a_crypto_charge_shows_how_far_it_has_come(deployment: Deployment, coin: str) -> None:
    body = hosted_body(coin)
    charge = deployment.merchant.send("POST", "/crypto-charge", body, idempotency_key=unique("key")).json()
    status = deployment.merchant.get(f"/crypto-status/{charge['charge_id']}")
    assert (status["payment"]["status"], len(status["timeline"])) == ("requires_action", 1)
    deployment.provider.decide({"next_action": {"redirect_url": charge["hosted_url"]}}, "approve")
    deployment.merchant.wait(charge["payment_id"], "captured")
    status = deployment.merchant.get(f"/crypto-status/{charge['charge_id']}")
    assert len(status["timeline"]) > 1
    if coin == "bitcoin":
        assert any("confirmations" in step for step in status["timeline"])


def test_an_unknown_coin_is_refused(deployment: Deployment) -> None:
    refused = deployment.merchant.send("POST", "/crypto-charge", hosted_body("dogecoin"), idempotency_key=unique("key"))
    assert (refused.status_code, refused.json()["type"]) == (422, "unsupported_payment_method")
    assert deployment.merchant.send("GET", "/crypto-status/none").status_code == 404


# --- saved payment methods ------------------------------------------------------------------------------


def test_a_saved_card_is_listed_charged_off_session_and_removed(deployment: Deployment) -> None:
    user = unique("user")
    address = f"/customers/{user}/payment-methods"
    assert deployment.merchant.get(address) == {"customer_token": None, "payment_methods": []}
    given = {"payment_method_token": "pm_card_visa", "default": True, "email": "ada@example.com"}
    saved = deployment.merchant.send("POST", address, given).json()
    assert (saved["kind"], saved["last4"], saved["is_default"]) == ("credit_card", "4242", True)
    [listed] = deployment.merchant.get(address)["payment_methods"]
    assert listed["payment_method_token"] == saved["payment_method_token"]

    token = {"customer_token": saved["customer_token"], "user_id": user}
    for _ in range(2):
        paid = deployment.merchant.pay(subscription_body(saved["payment_method_token"], **token))
        deployment.assert_charged_once(paid["id"])

    gone = deployment.merchant.send("DELETE", f"{address}/{saved['payment_method_token']}")
    assert (gone.status_code, gone.json()["detached"]) == (200, True)
    assert deployment.merchant.get(address)["payment_methods"] == []
    again = deployment.merchant.send("DELETE", f"{address}/{saved['payment_method_token']}")
    assert again.status_code in (404, 422)


def test_the_cards_of_another_user_are_not_found(deployment: Deployment) -> None:
    mine, other = (f"/customers/{unique('user')}/payment-methods" for _ in range(2))
    saved = deployment.merchant.send("POST", mine, {"payment_method_token": "pm_card_visa"}).json()
    deployment.merchant.send("POST", other, {"payment_method_token": "pm_card_mastercard"})
    token = saved["payment_method_token"]
    assert deployment.merchant.send("DELETE", f"{other}/{token}").status_code == 404
    assert deployment.merchant.send("DELETE", f"/customers/{unique('user')}/payment-methods/{token}").status_code == 404
    assert deployment.operator.send("GET", mine).status_code == 403
    assert len(deployment.merchant.get(mine)["payment_methods"]) == 1


def test_a_setup_gives_a_secret_that_is_stored_nowhere(deployment: Deployment) -> None:
    user = unique("user")
    body = {"user_id": user, "payment_method": "credit_card", "email": "ada@example.com"}
    key = unique("key")
    first, second = (deployment.merchant.send("POST", "/setup-intent", body, idempotency_key=key) for _ in range(2))
    assert first.status_code == 201
    assert first.json()["client_secret"] == second.json()["client_secret"]
    other = deployment.merchant.send("POST", "/setup-intent", body).json()
    assert other["client_secret"] != first.json()["client_secret"]
    assert deployment.rows("SELECT 1 FROM events WHERE data::text LIKE %s", f"%{first.json()['client_secret']}%") == []
    unknown = deployment.merchant.send("POST", "/setup-intent", body | {"payment_method": "cash"})
    assert (unknown.status_code, unknown.json()["type"]) == (422, "unsupported_payment_method")


# --- operators ------------------------------------------------------------------------------------------


def test_operators_see_which_providers_accept_the_credentials(deployment: Deployment) -> None:
    told = deployment.command("providers")
    for name in ("stripe", "paypal", "klarna", "afterpay", "coinbase", "coinbase_commerce"):
        assert f"{name} " in told
    assert told.count(" on ") == 7
    assert "FAILED" not in told
