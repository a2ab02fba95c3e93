"""Nothing secret or personal comes out again: not in answers, not in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from worker.redaction import RedactingFormatter

from .edge import SECRET_KEY, WEBHOOK_SECRETS, Edge, payment, unique

EMAIL = "canary.person@example.org"
CARD = "4242424242424242"
TOKEN = "pm_card_visa"
PERSONAL = {
    "email": EMAIL,
    "ip_address": "203.0.113.77",
    "device_fingerprint": "canary-device",
    "billing_address": {"line1": "Canary Lane 7"},
    "customer_token": None,
}
SHOWN_NEVER = (EMAIL, TOKEN, "203.0.113.77", "canary-device", "Canary Lane", SECRET_KEY, *WEBHOOK_SECRETS)


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


def requests_of_every_kind(edge: Edge) -> list[str]:
    """Make good and bad requests at every door with personal data and secrets; return the answers' texts."""
    edge.is_worker_up = True
    key = unique("key")
    body = payment(**PERSONAL)
    responses = [
        edge.post("/process", body, Idempotency_Key=key, Prefer="wait=5"),
        edge.post("/process", body, Idempotency_Key=key),
        edge.post("/process", body | {"amount": "1"}, Idempotency_Key=key),
        edge.post("/process", body),
        edge.pay(**PERSONAL | {"email": 17, "payment_method_token": f"{TOKEN} x"}),
        edge.pay(**PERSONAL, metadata={"card": CARD}),
        edge.pay(**PERSONAL | {"payment_method_token": f"{TOKEN}_chargeDeclined"}, Prefer="wait=5"),
        edge.pay(**PERSONAL, surprise=EMAIL),
        edge.pay(**PERSONAL, capture=False, Prefer="wait=5"),
        edge.pay(caller="operator", **PERSONAL),
        edge.call("PUT", f"/invoices/{CARD}", {"user_id": EMAIL}),
        edge.get("/"),
        edge.get(f"/?invoice_id={body['invoice_id']}"),
        edge.post("/webhooks/stripe", EMAIL, caller=None, Stripe_Signature=f"t=1,v1={CARD}"),
        edge.call("GET", "//readyz", caller=None),
    ]
    edge.sandbox.state.faults.add("payment_intents.confirm", "error_before")
    responses.append(edge.pay(**PERSONAL))
    edge.sandbox.state.faults.add("payment_intents.create", "reset_before")
    responses.append(edge.pay(**PERSONAL))
    payment_id = responses[0].json["id"]
    responses.append(edge.post(f"/{payment_id}/refunds", {}, Idempotency_Key=unique("key"), Prefer="wait=5"))
    assert responses[0].status_code == responses[-1].status_code == 200
    return [response.text + str(response.headers) for response in responses]


def test_no_answer_shows_what_was_confided(edge: Edge) -> None:
    for text in requests_of_every_kind(edge):
        assert not [secret for secret in (*SHOWN_NEVER, CARD, *edge.keys.values(), "_secret_") if secret in text]


def test_no_line_of_the_log_shows_what_was_confided(edge: Edge, written: dict[str, Lines]) -> None:
    requests_of_every_kind(edge)
    invoice = unique("inv")
    edge.call("PUT", f"/invoices/{invoice}", {"user_id": "u", "amount": "9", "currency": "EUR"})
    secret = edge.post("/stripe-intent", {"invoice_id": invoice}).json["client_secret"]
    bare = [*SHOWN_NEVER, CARD, *edge.keys.values(), secret]
    # At DEBUG the HTTP client names addresses, never bodies; whatever a library adds is masked by the formatter.
    for name, lines in written.items():
        text = "\n".join(lines.lines)
        assert text, f"nothing was logged to {name}"
        assert not [found for found in bare if found in text]


def test_an_unexpected_error_tells_nothing(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"secret {EMAIL}")

    monkeypatch.setattr("webhooks.payments.accept_payment", fail)
    response = edge.pay(**PERSONAL)
    assert (response.status_code, response.json["type"]) == (500, "internal_error")
    assert EMAIL not in response.text
