"""`dev.py up`: the stack, kept running until Ctrl-C, with addresses, API keys and lines to type."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from stack.client import Merchant
from stack.command import make_parser, run_on_stack
from stack.demo_cases import payment_request
from stack.progress import Progress
from stack.stack import Stack

SCREEN = """
  API           {api}
  health        {web}/readyz
  sandbox       {sandbox}  (its own list of routes is at /)
  mail          {mail}  (what customers got)
  app key       {keys.app}  (starts payments)
  operator key  {keys.operator}  (sees and changes all payments)
  database      {database}
  broker        {broker}
  logs          {logs}

Process a card payment and wait for its result:
  curl -s -X POST {api}/process -H 'Authorization: Bearer {keys.app}' -H 'Content-Type: application/json' \
-H 'Idempotency-Key: order-1' -H 'Prefer: wait=10' \
-d '{{"invoice_id": "order-1", "user_id": "ada", "amount": "24.90", \
"currency": "EUR", "payment_method": "credit_card", "payment_method_token": "pm_card_visa"}}'

Read a payment made just now:
  curl -s {api}/{payment} -H 'Authorization: Bearer {keys.app}'

Refund a part of it:
  curl -s -X POST {api}/{payment}/refunds -H 'Authorization: Bearer {keys.app}' \
-H 'Content-Type: application/json' -H 'Idempotency-Key: refund-1' -d '{{"amount": "5.00"}}'

Use the command line, or the commands of docs/quickstart.md, in another terminal:
  . {shell_file}
  celery -A worker payments show {payment}

Ctrl-C stops everything."""


@dataclass(frozen=True)
class Keys:
    """The API keys that the screen shows."""

    app: str
    operator: str


def main(arguments: list[str]) -> int:
    """Run the stack until it is interrupted; return the exit code."""
    parser = make_parser("up", "A complete local system, kept running until Ctrl-C.")
    return run_on_stack("up", run, use_environment=parser.parse_args(arguments).use_environment)


def run(stack: Stack, progress: Progress) -> int:
    """Make one payment to point at, show the screen, and wait for Ctrl-C."""
    progress.show("making API keys and a first payment")
    keys = Keys(*stack.create_keys("up"))
    merchant = Merchant(stack.api_url, keys.app)
    payment_id = merchant.process(payment_request())["id"]
    merchant.wait_for_status(payment_id, "captured")
    progress.stop()
    progress.print(screen(stack, keys, payment_id, stack.write_shell_file(shell_variables(stack, keys))))
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def shell_variables(stack: Stack, keys: Keys) -> dict[str, str]:
    """Return the variables that the commands in docs/quickstart.md use."""
    return {
        "API": stack.api_url,
        "KEY": keys.app,
        "OPERATOR_KEY": keys.operator,
        "SANDBOX": stack.sandbox_url,
        "BROKER_URL": stack.env["CELERY_BROKER_URL"],
    }


def screen(stack: Stack, keys: Keys, payment_id: str, shell_file: Path) -> str:
    """Return what the screen shows."""
    return SCREEN.format(
        api=stack.api_url,
        web=stack.web_url,
        sandbox=stack.sandbox_url,
        mail=stack.mail_url,
        keys=keys,
        database=stack.database,
        broker=stack.broker_url,
        logs=stack.directory,
        payment=payment_id,
        shell_file=shell_file,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
