"""One Idempotency-Key is one payment, and one invoice is collected once, however many ask at the same moment."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import APPLICATION, Deployment, at_once, eventually, payment_body, unique

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]
AT_ONCE = 50


def test_fifty_requests_with_one_key_are_one_payment(deployment: Deployment) -> None:
    body, key = payment_body(), unique("key")
    responses = at_once(lambda _: deployment.merchant.send("POST", "/process", body, idempotency_key=key), AT_ONCE)
    assert {response.status_code for response in responses} == {202}
    assert len({response.text for response in responses}) == 1
    assert sum(response.headers.get("Idempotent-Replayed") == "true" for response in responses) == AT_ONCE - 1
    payment_id = responses[0].json()["id"]
    deployment.merchant.wait(payment_id, "captured")
    deployment.assert_charged_once(payment_id)
    assert [shown["id"] for shown in deployment.merchant.payments_of(body["invoice_id"])] == [payment_id]


def test_a_late_repetition_gets_the_first_response(deployment: Deployment) -> None:
    body, key = payment_body(), unique("key")
    first = deployment.merchant.send("POST", "/process", body, idempotency_key=key)
    deployment.merchant.wait(first.json()["id"], "captured")
    again = deployment.merchant.send("POST", "/process", body, idempotency_key=key)
    assert (again.status_code, again.json()) == (202, first.json())
    deployment.assert_charged_once(first.json()["id"])


def test_a_key_with_another_body_is_refused(deployment: Deployment) -> None:
    body, key = payment_body(), unique("key")
    first = deployment.merchant.process(body, idempotency_key=key)
    other = deployment.merchant.send("POST", "/process", body | {"amount": "24.91"}, idempotency_key=key)
    assert (other.status_code, other.json()["type"]) == (422, "idempotency_key_reused")
    deployment.merchant.wait(first["id"], "captured")
    deployment.assert_charged_once(first["id"])


def test_fifty_payments_of_one_invoice_are_one_live_collection(deployment: Deployment) -> None:
    body = payment_body()
    responses = at_once(
        lambda number: deployment.merchant.send("POST", "/process", body, idempotency_key=unique(f"key-{number}")),
        AT_ONCE,
    )
    accepted = [response.json()["id"] for response in responses if response.status_code == 202]
    refused = [response for response in responses if response.status_code != 202]
    assert len(accepted) == 1
    assert {response.status_code for response in refused} <= {409, 422}
    assert {response.json()["type"] for response in refused} <= {"collection_in_progress", "amount_above_open"}
    deployment.merchant.wait(accepted[0], "captured")
    deployment.assert_charged_once(accepted[0])
    assert len(deployment.merchant.payments_of(body["invoice_id"])) == 1


def test_while_an_invoice_is_collected_every_other_payment_is_refused(deployment: Deployment) -> None:
    deployment.provider.fault("payment_intents.create", "latency")
    body = payment_body()
    payment_id = deployment.merchant.process(body)["id"]
    responses = at_once(lambda _: deployment.merchant.send("POST", "/process", body, idempotency_key=unique("key")), 10)
    assert {response.status_code for response in responses} == {409}
    assert {response.json()["type"] for response in responses} == {"collection_in_progress"}
    deployment.provider.behave()
    deployment.merchant.wait(payment_id, "captured")
    deployment.assert_charged_once(payment_id)


def test_fifty_messages_with_one_key_are_one_payment(deployment: Deployment) -> None:
    body, before = payment_body(), _processed(deployment)
    fields = body | {"idempotency_key": unique("key"), "application": APPLICATION}
    with deployment.celery() as elsewhere:
        for _ in range(AT_ONCE):
            elsewhere.send_task("payments.process", kwargs=fields)
    eventually(lambda: _processed(deployment) == before + AT_ONCE, "an end of fifty messages")
    [payment] = deployment.merchant.payments_of(body["invoice_id"])
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])


def test_a_key_is_one_payment_over_http_and_celery_together(deployment: Deployment) -> None:
    body, key, before = payment_body(), unique("key"), _processed(deployment)
    with deployment.celery() as elsewhere:
        elsewhere.send_task("payments.process", kwargs=body | {"idempotency_key": key, "application": APPLICATION})
        response = deployment.merchant.process(body, idempotency_key=key)
    deployment.merchant.wait(response["id"], "captured")
    eventually(lambda: _processed(deployment) == before + 1, "an end of the message")
    deployment.assert_charged_once(response["id"])
    assert [shown["id"] for shown in deployment.merchant.payments_of(body["invoice_id"])] == [response["id"]]


def test_a_repeated_refund_request_gives_money_back_once(deployment: Deployment) -> None:
    payment = deployment.merchant.pay(payment_body())
    key = unique("key")
    path = f"/{payment['id']}/refunds"
    responses = at_once(lambda _: deployment.merchant.send("POST", path, {"amount": "5.00"}, idempotency_key=key), 10)
    assert {response.status_code for response in responses} == {202}
    assert len({response.text for response in responses}) == 1
    deployment.merchant.wait(payment["id"], "partially_refunded")
    assert deployment.provider.movements(payment["id"]) == ["charge", "refund"]
    deployment.assert_books_agree(payment["id"])


def _processed(deployment: Deployment) -> int:
    """Return how many messages of `payments.process` the worker is through with."""
    worker = next(process for process in deployment.processes if process.name == "worker")
    lines = worker.log_text().splitlines()
    return sum("payments.process[" in line and "succeeded" in line for line in lines)
