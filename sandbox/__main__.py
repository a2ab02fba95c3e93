"""Command line: `python -m sandbox --port 8900 --webhook-url http://127.0.0.1:8000/webhooks/stripe`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sandbox.server import serve


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(prog="python -m sandbox", description="Simulate the payment providers over HTTP.")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True, help="0 takes a free port")
    options.add_argument(
        "--webhook-url",
        help="send Stripe's events to this URL, and those of each other provider to its name beside it",
    )
    options.add_argument("--webhook-secret", help="signing secret of that endpoint, whsec_…")
    options.add_argument("--latency-ms", type=float, default=0.0, help="duration of each provider call")
    options.add_argument(
        "--async-settle-seconds",
        type=float,
        help="delay until bank debits and slow refunds finish; by default days, as at the provider",
    )
    options.add_argument(
        "--search-lag-seconds",
        type=float,
        default=0.0,
        help="age at which an object appears in search results; about a minute at the provider",
    )
    options.add_argument("--seed", type=int, help="seed of every random choice; ids stay unique across runs")
    options.add_argument(
        "--smtp-port", type=int, help="take mail on this port and show it at /mail; 0 takes a free one"
    )
    options.add_argument("--ledger", metavar="FILE", help="append each ledger row to this file as a line of JSON")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sandbox until SIGTERM or SIGINT."""
    options = parser().parse_args(arguments)
    serve(
        host=options.host,
        port=options.port,
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
        latency_seconds=options.latency_ms / 1000.0,
        async_settle_seconds=options.async_settle_seconds,
        search_lag_seconds=options.search_lag_seconds,
        seed=options.seed,
        ledger_file=options.ledger,
        smtp_port=options.smtp_port,
    )


if __name__ == "__main__":
    main()
