"""The embedded stack kept running for a person: its addresses, a key, and lines to type, until Ctrl-C."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from stack.client import DemoError, Merchant
from stack.process import ProcessError, interrupt_on_signals
from stack.scenario import order
from stack.services import Stack

SCREEN = """
  API        {api}
  health     {web}/readyz
  sandbox    {sandbox}  (its books: /_sandbox/books)
  API key    {key}
  database   {database}
  broker     {broker}
  logs       {logs}

Process a card payment and wait for its rest:
  curl -s -X POST {api}/process -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
-H 'Idempotency-Key: order-1' -H 'Prefer: wait=10' \
-d '{{"invoice_id": "order-1", "user_id": "ada", "amount": "24.90", \
"currency": "EUR", "payment_method": "credit_card", "payment_method_token": "pm_card_visa"}}'

Read a payment made just now:
  curl -s {api}/{payment} -H 'Authorization: Bearer {key}'

Refund a part of it:
  curl -s -X POST {api}/{payment}/refunds -H 'Authorization: Bearer {key}' \
-H 'Content-Type: application/json' -H 'Idempotency-Key: refund-1' -d '{{"amount": "5.00"}}'

Ctrl-C stops everything."""


def main() -> int:
    """Run the stack until it is interrupted."""
    interrupt_on_signals()
    print("Starting broker, sandbox, web, worker and beat ...", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="celeriac-up-") as directory, Stack(Path(directory)) as stack:
            print(screen(stack), flush=True)
            threading.Event().wait()
    except (ProcessError, DemoError) as error:
        print(f"up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def screen(stack: Stack) -> str:
    """Make one payment to point at, and return what the person reads."""
    key = stack.create_key("app", "up")
    merchant = Merchant(stack.api_url, key)
    payment = merchant.process(order())["id"]
    merchant.wait_status(payment, "captured")
    return SCREEN.format(
        api=stack.api_url,
        web=stack.web_url,
        sandbox=stack.sandbox_url,
        key=key,
        database=stack.env["DATABASE_URL"],
        broker=stack.env["CELERY_BROKER_URL"],
        logs=stack.directory,
        payment=payment,
    )


if __name__ == "__main__":
    sys.exit(main())
