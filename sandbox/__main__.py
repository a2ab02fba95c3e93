"""Owns the command line: `python -m sandbox --port 8900 --webhook-url
http://127.0.0.1:8000/webhooks/stripe`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sandbox.server import serve


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(prog="python -m sandbox", description="Imitate the payment providers over HTTP.")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True, help="0 takes a free port")
    options.add_argument("--webhook-url", help="send every event here")
    options.add_argument("--webhook-secret", help="signing secret of that endpoint, whsec_…")
    options.add_argument("--latency-ms", type=float, default=0.0, help="how long each provider call takes")
    options.add_argument(
        "--async-settle-seconds",
        type=float,
        help="when bank debits and slow refunds settle; by default after days, as at the provider",
    )
    options.add_argument(
        "--search-lag-seconds",
        type=float,
        default=0.0,
        help="how far search results are behind; about a minute at the provider",
    )
    options.add_argument("--seed", type=int, help="seed of everything random, except ids")
    options.add_argument("--ledger", metavar="FILE", help="append each ledger row to this file as a line of JSON")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sandbox until it is told to stop."""
    given = parser().parse_args(arguments)
    serve(
        host=given.host,
        port=given.port,
        webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret,
        latency_seconds=given.latency_ms / 1000.0,
        async_settle_seconds=given.async_settle_seconds,
        search_lag_seconds=given.search_lag_seconds,
        seed=given.seed,
        ledger_file=given.ledger,
    )


if __name__ == "__main__":
    main()
