"""`payments providers`: which providers are on, whether each accepts its credentials, and which fail now."""

from __future__ import annotations

import sys
from typing import Any

import click

from domain.payment_methods import CAPABILITIES
from gateways.base import Gateway, GatewayError
from gateways.registry import PROVIDERS
from models.breakers import find_breakers
from worker.commands.open_runtime import open_runtime


@click.command()
def providers() -> None:
    """Show which providers are on, try their credentials, and show which fail now.

    The exit code is 1 when a provider refuses its credentials or does not respond."""
    with open_runtime() as runtime:
        breakers = runtime.read(find_breakers)
        are_working = [_show_provider(name, runtime.gateways.get(name)) for name in PROVIDERS]
    for row in breakers:
        state = f"open since {row.opened_at:%Y-%m-%d %H:%M:%S}Z" if row.opened_at else "closed"
        click.echo(f"breaker {row.provider} {row.verb}: {state}, {row.failures} failures in a row")
    if not all(are_working):
        sys.exit(1)


def _show_provider(name: str, gateway: Gateway | None) -> bool:
    """Print the provider's line; return False if its credentials do not work."""
    if gateway is None:
        click.echo(f"{name:<18} off   {_how_to_switch_on(PROVIDERS[name])}")
        return True
    try:
        report, is_working = gateway.check(), True
    except GatewayError as error:
        report, is_working = f"FAILED: {error}", False
    click.echo(f"{name:<18} on    {report}; {_methods(name)}")
    return is_working


def _methods(provider: str) -> str:
    return ", ".join(dict.fromkeys(one.method for one in CAPABILITIES if one.provider == provider))


def _how_to_switch_on(kind: Any) -> str:
    """Name the variable without which a provider is off: its description says so."""
    named = [name.upper() for name, field in kind.model_fields.items() if "is off" in (field.description or "")]
    return f"set {named[0]} and the variables beside it" if named else "not configured"
