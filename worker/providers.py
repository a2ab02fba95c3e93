"""`celery -A worker payments providers`: which providers are on, whether they take our credentials, who fails now."""

from __future__ import annotations

import sys
from typing import Any

import click

from domain.payment_methods import CAPABILITIES
from gateways.base import Gateway, GatewayError
from gateways.registry import PROVIDERS
from models.breakers import find_breakers
from models.session import read


def show_providers(gateways: dict[str, Gateway], engine: Any) -> None:
    """Print a line for each provider and each breaker; end with 1 when a provider refuses us or does not answer."""
    has_failed = False
    for name, kind in PROVIDERS.items():
        gateway = gateways.get(name)
        if gateway is None:
            click.echo(f"{name:<18} off   {_how_to_switch_on(kind)}")
            continue
        try:
            said = gateway.check()
        except GatewayError as error:
            said, has_failed = f"FAILED: {error}", True
        click.echo(f"{name:<18} on    {said}; {_methods(name)}")
    for row in read(engine, find_breakers):
        state = f"open since {row.opened_at:%Y-%m-%d %H:%M:%S}Z" if row.opened_at else "closed"
        click.echo(f"breaker {row.provider} {row.verb}: {state}, {row.failures} failures in a row")
    if has_failed:
        sys.exit(1)


def _methods(provider: str) -> str:
    return ", ".join(dict.fromkeys(one.method for one in CAPABILITIES if one.provider == provider))


def _how_to_switch_on(kind: Any) -> str:
    """Name the variable without which a provider is off, by its description."""
    named = [name.upper() for name, field in kind.model_fields.items() if "is off" in (field.description or "")]
    return f"set {named[0]} and what belongs to it" if named else "not configured"
