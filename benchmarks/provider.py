"""A fake provider that costs almost nothing: it responds with PaymentIntents in Stripe's format, after a delay.

`python -m benchmarks.provider PORT DELAY_MS`. It keeps no state, so every intent has the same amount, the number of an
intent says whether it is held or captured, and it sends no webhooks. The sandbox cannot replace it: it simulates so
much that it would use the processor that is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs

# The amount of every payment of the benchmark, in minor units.
AMOUNT = 1000

# Of so many intents with numbers in a row, those with these places are held, and all others captured.
ROW, HELD_PLACES = 20, range(14, 16)

# Stripe's response about a card payment, with every field, because parsing it is part of the cost.
_NULL_FIELDS = (
    "application application_fee_amount automatic_payment_methods canceled_at cancellation_reason customer "
    "customer_account description excluded_payment_method_types last_payment_error latest_charge managed_payments "
    "next_action on_behalf_of payment_method_configuration_details processing receipt_email review "
    "setup_future_usage shipping source statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
)
_INTENT: dict[str, Any] = dict.fromkeys(_NULL_FIELDS.split()) | {
    "id": "pi_ID",
    "object": "payment_intent",
    "allowed_payment_method_types": ["card"],
    "amount": AMOUNT,
    "amount_capturable": 0,
    "amount_details": {"tip": {}},
    "amount_received": 0,
    "capture_method": "automatic",
    "client_secret": "pi_ID_secret_O5WZpqffDYHvE3qvPBJPkI2LE",
    "confirmation_method": "automatic",
    "created": 1_795_417_696,
    "currency": "eur",
    "livemode": False,
    "metadata": {"payment_id": "pay_" + 32 * "0", "attempt_id": "at_" + 32 * "0"},
    "payment_method": "pm_9VMPjNG9PjGAw1V4CeipDLfP",
    "payment_method_options": {"card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}},
    "payment_method_types": ["card"],
    "status": "requires_confirmation",
}
_CREATED = json.dumps(_INTENT, indent=2)
_CONFIRMED = json.dumps(
    _INTENT | {"status": "succeeded", "amount_received": AMOUNT, "latest_charge": "ch_UFleOe2TwGUJQPKkYlfoLtpW"},
    indent=2,
)
_HELD = json.dumps(_INTENT | {"status": "requires_capture", "amount_capturable": AMOUNT})
_EMPTY = json.dumps({"object": "list", "data": [], "has_more": False})
# The list of events: the newest of so many, whatever time is asked for.
EVENTS, _PAGE = 2_000, 100
# Celeriac follows the clock of a sandbox; this clock is always the real one.
_CLOCK = json.dumps({"offset_seconds": 0})
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_vcojpPWxDvmXK8tKWGsRnLdp\r\n"

# Begins with the time: the books refuse an id that a provider which was started before has given out already.
_numbers = itertools.count(time.time_ns())


class Provider(asyncio.Protocol):
    """One connection, kept alive, with one request after the other. It reads only the length and the path."""

    def __init__(self, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond as soon as the whole request is received."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        path = head.split(b" ", 2)[1].decode()
        delay = self._delay_seconds if path.startswith("/v1/") else 0
        asyncio.get_running_loop().call_later(delay, self._respond, path)

    def _respond(self, path: str) -> None:
        if path == "/v1/payment_intents":
            body = _CREATED.replace("ID", f"{next(_numbers):024}")
        elif path.startswith(("/v1/refunds?", "/v1/disputes?")):
            body = _EMPTY
        elif path.startswith("/v1/events?"):
            body = _events(parse_qs(path.partition("?")[2]))
        elif path.startswith("/v1/payment_intents/") and "?" in path:
            body = _shown(path.split("/")[3].partition("?")[0])
        elif path.endswith("/confirm"):
            body = _CONFIRMED.replace("pi_ID", path.split("/")[3])
        else:
            body = _CLOCK
        self._transport.write(f"{_HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())


def _shown(reference: str) -> str:
    """Return an intent as a look-up shows it."""
    is_held = int(reference.removeprefix("pi_")) % ROW in HELD_PLACES
    return (_HELD if is_held else _CONFIRMED).replace("pi_ID", reference)


def _events(query: dict[str, list[str]]) -> str:
    """Return a page of the list, newest first. The ids count down."""
    newest = int(query.get("starting_after", [f"evt_{EVENTS}"])[0].removeprefix("evt_")) - 1
    numbers = range(newest, max(newest - _PAGE, -1), -1)
    data = [
        {
            "id": f"evt_{number}",
            "object": "event",
            "type": "payment_intent.succeeded",
            "livemode": False,
            "data": {"object": json.loads(_CONFIRMED.replace("pi_ID", f"pi_{number}"))},
        }
        for number in numbers
    ]
    return json.dumps({"object": "list", "data": data, "has_more": newest - _PAGE >= 0})


def _length(head: bytes) -> int:
    _, header, value = head.lower().partition(b"content-length:")
    return int(value.split(b"\r\n", 1)[0]) if header else 0


async def serve(port: int, delay_seconds: float) -> None:
    """Serve on 127.0.0.1 until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(delay_seconds), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
