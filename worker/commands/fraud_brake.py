"""`payments fraud brake`: whether strangers are held up, why, and which limits have refused tries."""

from __future__ import annotations

import json
from typing import Any

import click
from sqlalchemy import Connection

from domain.fraud.brake import is_under_attack
from models.fraud.brakes import brakes, read_traffic
from models.fraud.refusals import refusals_since
from runtime import Runtime
from worker.commands.open_runtime import open_runtime


@click.command()
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
def brake(is_json: bool) -> None:
    """Show the global brake of each application, and the refusals of the last day by what was limited."""
    with open_runtime() as runtime:
        shown = runtime.read(read_brakes, runtime)
    if is_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for each in shown["brakes"]:
        state = f"on since {each['on_since']}" if each["on_since"] else "off"
        click.echo(f"{each['application']}: {state}, {each['declines']} of {each['tries']} tries declined lately")
    if not shown["brakes"]:
        click.echo("no brake was ever on")
    for kind, refused in shown["refused"].items():
        click.echo(f"  {refused:>7}  refused by the limit of {kind.replace('_', ' ')}")


def read_brakes(connection: Connection, runtime: Runtime) -> dict[str, Any]:
    """Return the brake of each application with its traffic, and how many tries each kind of limit has refused."""
    now, policy = runtime.clock.now(), runtime.policy.fraud.brake
    found = []
    for row in brakes(connection):
        seen = read_traffic(connection, row.application, now)
        found.append(
            {
                "application": row.application,
                "on_since": row.on_since.isoformat() if row.on_since else None,
                "is_under_attack": is_under_attack(*seen, policy),
                "tries": seen.recent.tries,
                "declines": seen.recent.declines,
                "usual_tries": seen.usual.tries,
                "usual_declines": seen.usual.declines,
            }
        )
    return {"brakes": found, "refused": refusals_since(connection, now)}
