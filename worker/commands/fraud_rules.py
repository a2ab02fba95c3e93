"""`payments fraud rules`: versions of rule sets, which of them is live, a candidate or a shadow, and the way back."""

from __future__ import annotations

from pathlib import Path

import click

from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.roles import Role
from models.fraud.rule_sets import (
    ALL_USERS,
    assign_role,
    commit_version,
    find_version,
    list_roles,
    list_versions,
    roll_back,
    rule_sets_in_use,
)
from runtime import Runtime
from worker.commands.open_runtime import ACTOR, fail, open_runtime
from worker.fraud_rules_file import read_rule_set, to_toml

_version = click.argument("version")


@click.group()
def rules() -> None:
    """Rule sets of fraud scoring: a file is a draft, a version never changes, one version is live."""


@rules.command("list")
def list_command() -> None:
    """List the versions, and who has used which for what."""
    with open_runtime() as runtime:
        versions, roles = runtime.read(list_versions), runtime.read(list_roles)
        in_use = runtime.read(rule_sets_in_use, runtime.policy.fraud.rule_set)
    click.echo(f"live: {in_use.live.version}")
    if in_use.candidate is not None:
        click.echo(f"candidate: {in_use.candidate.version} for {in_use.share} % of the users")
    if in_use.shadow is not None:
        click.echo(f"shadow: {in_use.shadow.version}")
    for row in versions:
        click.echo(f"{row.created_at:%Y-%m-%dT%H:%M:%SZ}  committed  {row.version}  {row.author}")
    for row in roles:
        share = f"  {row.share} %" if row.role == Role.CANDIDATE and row.version else ""
        click.echo(f"{row.at:%Y-%m-%dT%H:%M:%SZ}  {row.role:<9}  {row.version or '-'}  {row.author}{share}")


@rules.command()
@click.argument("version", required=False)
def show(version: str | None) -> None:
    """Print a version as a file: the one that is shipped if none is named."""
    if version is None:
        click.echo(to_toml(DEFAULT_RULES), nl=False)
        return
    with open_runtime() as runtime:
        click.echo(to_toml(runtime.read(find_version, version)), nl=False)


@rules.command()
@click.argument("file", type=click.Path(path_type=Path))
def commit(file: Path) -> None:
    """Store a file as a version that never changes. It scores nothing yet."""
    try:
        rule_set = read_rule_set(file)
    except ValueError as error:
        fail(f"{file}: {error}")
    with open_runtime() as runtime:
        is_new = runtime.change(ACTOR, commit_version, rule_set)
    click.echo(f"{rule_set.version} {'is stored' if is_new else 'was stored before'}")


@rules.command()
@_version
def live(version: str) -> None:
    """Let a version decide on all payments from now on."""
    with open_runtime() as runtime:
        _assign(runtime, Role.LIVE, version)


@rules.command()
@_version
@click.option("--share", type=click.IntRange(0, 100), required=True, help="Of the users, in percent; 0 ends it.")
def candidate(version: str, share: int) -> None:
    """Let a version decide on the payments of some users."""
    with open_runtime() as runtime:
        _assign(runtime, Role.CANDIDATE, version if share else None, share)


@rules.command()
@click.argument("version", required=False)
def shadow(version: str | None) -> None:
    """Let a version score all payments beside the live one, without any effect; without a version none does."""
    with open_runtime() as runtime:
        _assign(runtime, Role.SHADOW, version)


@rules.command()
def rollback() -> None:
    """Make the version live again that was live before."""
    with open_runtime() as runtime:
        version = runtime.change(ACTOR, roll_back)
        click.echo(f"live: {version or runtime.policy.fraud.rule_set.version}")


def _assign(runtime: Runtime, role: Role, version: str | None, share: int = ALL_USERS) -> None:
    runtime.change(ACTOR, assign_role, role, version, share)
    click.echo(f"{role}: {version or '-'}; every process uses it within seconds")
