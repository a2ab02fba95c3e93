"""Responses and logs show nothing secret or personal."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.provider import SECRET_KEY
from tests.system import WEBHOOK_SECRETS
from worker.redaction import RedactingFormatter

from .api_system import ApiSystem, payment, unique

EMAIL = "canary.person@example.org"
CARD = "4242424242424242"
TOKEN = "pm_card_visa"
PERSONAL = {
    "email": EMAIL,
    "ip_address": "203.0.113.77",
    "device_fingerprint": "canary-device",
    "billing_address": {"line1": "Canary Lane 7"},
    "card": {"fingerprint": "canary-card", "bin": "42424242", "country": "GB"},
    "shared_entities": {"merchant_account": "canary-account"},
    "customer_token": None,
}
FACTS = ("203.0.113.77", "canary-device", "Canary Lane", "canary-card", "42424242", "canary-account")
SHOWN_NEVER = (EMAIL, TOKEN, *FACTS, SECRET_KEY, *WEBHOOK_SECRETS)


class Lines(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self, level: int, formatter: logging.Formatter) -> None:
        super().__init__(level)
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def written() -> Iterator[dict[str, Lines]]:
    """The log as production writes it at DEBUG, and bare at INFO, before the last guard masks anything."""
    root = logging.getLogger()
    handlers = {
        "redacted": Lines(logging.DEBUG, RedactingFormatter(None)),
        "bare": Lines(logging.INFO, logging.Formatter()),
    }
    level = root.level
    root.setLevel(logging.DEBUG)
    for handler in handlers.values():
        root.addHandler(handler)
    yield handlers
    for handler in handlers.values():
        root.removeHandler(handler)
    root.setLevel(level)


def requests_of_every_kind(api: ApiSystem) -> list[str]:
    """Send good and bad requests to every address with personal data and secrets; return the responses as text."""
    api.is_worker_up = True
    key = unique("key")
    body = payment(**PERSONAL)
    responses = [
        api.post("/process", body, Idempotency_Key=key, Prefer="wait=5"),
        api.post("/process", body, Idempotency_Key=key),
        api.post("/process", body | {"amount": "1"}, Idempotency_Key=key),
        api.post("/process", body, Idempotency_Key=unique("key")),
        api.post("/process", body),
        api.process(**PERSONAL | {"email": 17, "payment_method_token": f"{TOKEN} x"}),
        api.process(**PERSONAL, metadata={"card": CARD}),
        api.process(**PERSONAL | {"payment_method_token": f"{TOKEN}_chargeDeclined"}, Prefer="wait=5"),
        api.process(**PERSONAL, surprise=EMAIL),
        api.process(**PERSONAL, capture=False, Prefer="wait=5"),
        api.process(caller="operator", **PERSONAL),
        api.call("PUT", f"/invoices/{CARD}", {"user_id": EMAIL}),
        api.get("/"),
        api.get(f"/?invoice_id={body['invoice_id']}"),
        api.post("/webhooks/stripe", EMAIL, caller=None, Stripe_Signature=f"t=1,v1={CARD}"),
        api.call("GET", "//readyz", caller=None),
    ]
    api.sandbox.state.faults.add("payment_intents.confirm", "error_before")
    responses.append(api.process(**PERSONAL))
    api.sandbox.state.faults.add("payment_intents.create", "reset_before")
    responses.append(api.process(**PERSONAL))
    payment_id = responses[0].json["id"]
    responses.append(api.post(f"/{payment_id}/refunds", {}, Idempotency_Key=unique("key"), Prefer="wait=5"))
    assert responses[0].status_code == responses[-1].status_code == 200
    return [response.text + str(response.headers) for response in responses]


def test_no_response_shows_a_secret_or_personal_data(api: ApiSystem) -> None:
    for text in requests_of_every_kind(api):
        assert not [secret for secret in (*SHOWN_NEVER, CARD, *api.keys.values(), "_secret_") if secret in text]


def test_no_line_of_the_log_shows_a_secret_or_personal_data(api: ApiSystem, written: dict[str, Lines]) -> None:
    requests_of_every_kind(api)
    invoice = unique("inv")
    api.call("PUT", f"/invoices/{invoice}", {"user_id": "u", "amount": "9", "currency": "EUR"})
    secret = api.post("/stripe-intent", {"invoice_id": invoice}).json["client_secret"]
    bare = [*SHOWN_NEVER, CARD, *api.keys.values(), secret]
    # At DEBUG the HTTP client names addresses, never bodies; whatever a library adds is masked by the formatter.
    for name, lines in written.items():
        text = "\n".join(lines.lines)
        assert text, f"nothing was logged to {name}"
        assert not [found for found in bare if found in text]


def test_an_unexpected_error_shows_no_detail(api: ApiSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"secret {EMAIL}")

    monkeypatch.setattr("webhooks.payments.accept_payment", fail)
    response = api.process(**PERSONAL)
    assert (response.status_code, response.json["type"]) == (500, "internal_error")
    assert EMAIL not in response.text
