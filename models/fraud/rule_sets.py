"""Every write of a rule set: versions that never change, and which of them is live, candidate or shadow since when."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from domain.errors import Conflict, NotFound
from domain.fraud.roles import Role, RuleSets
from domain.fraud.rule_set import RuleSet
from domain.fraud.rule_set_form import as_plain, from_plain
from models.audit import record_event
from models.change import Change
from models.session import insert_new, lock_name
from models.tables import fraud_rule_roles, fraud_rule_sets

ALL_USERS = 100
_newest_of_each = select(func.max(fraud_rule_roles.c.id)).group_by(fraud_rule_roles.c.role)
_select_in_use = (
    select(fraud_rule_roles, fraud_rule_sets.c.body)
    .outerjoin(fraud_rule_sets, fraud_rule_sets.c.version == fraud_rule_roles.c.version)
    .where(fraud_rule_roles.c.id.in_(_newest_of_each))
)


def commit_version(change: Change, rule_set: RuleSet) -> bool:
    """Store a version for good; return False if it is stored already. Raises Conflict if its name is taken by other
    rules."""
    body = as_plain(rule_set)
    values = {"version": rule_set.version, "body": body, "author": change.actor, "created_at": change.now}
    if insert_new(change.connection, fraud_rule_sets, values):
        _record(change, "fraud_rules_committed", {"version": rule_set.version})
        return True
    if find_version(change.connection, rule_set.version) != rule_set:
        raise Conflict(f"version {rule_set.version} is stored with other rules; give the draft another version")
    return False


def assign_role(change: Change, role: Role, version: str | None, share: int = ALL_USERS) -> None:
    """Use a stored version for something from now on; None ends that. A version that becomes live is no candidate any
    more. Raises NotFound."""
    lock_name(change.connection, "fraud_rule_roles")
    if version is not None:
        find_version(change.connection, version)
    _append(change, role, version, share)
    if role is Role.LIVE and _newest(change.connection, Role.CANDIDATE) == version:
        _append(change, Role.CANDIDATE, None, 0)


def roll_back(change: Change) -> str | None:
    """Make the version live again that was live before the present one; return it, None for the configuration's rules.
    Raises Conflict if there is none."""
    lock_name(change.connection, "fraud_rule_roles")
    rows = change.connection.execute(_of_role(Role.LIVE)).all()
    if not rows:
        raise Conflict("no version was ever made live; there is nothing to go back to")
    earlier = [row.version for row in rows if row.version != rows[0].version]
    version: str | None = earlier[0] if earlier else None
    _append(change, Role.LIVE, version, ALL_USERS)
    return version


def find_version(connection: Connection, version: str) -> RuleSet:
    """Return a stored version. Raises NotFound."""
    body = connection.scalar(select(fraud_rule_sets.c.body).where(fraud_rule_sets.c.version == version))
    if body is None:
        raise NotFound(f"no version {version}; `fraud rules list` shows those that are stored")
    return from_plain(version, body)


def rule_sets_in_use(connection: Connection, configured: RuleSet) -> RuleSets:
    """Return which rule sets are in use. `configured`: what scores while no version is live."""
    current = {row.role: row for row in connection.execute(_select_in_use) if row.version is not None}
    used = {role: from_plain(row.version, row.body) for role, row in current.items()}
    return RuleSets(
        used.get(Role.LIVE, configured),
        used.get(Role.CANDIDATE),
        current[Role.CANDIDATE].share if Role.CANDIDATE in current else 0,
        used.get(Role.SHADOW),
    )


def list_versions(connection: Connection) -> list[Row[Any]]:
    """Return the stored versions, the newest first."""
    return list(connection.execute(select(fraud_rule_sets).order_by(fraud_rule_sets.c.created_at.desc())))


def list_roles(connection: Connection) -> list[Row[Any]]:
    """Return who has used which version for what, the newest first."""
    return list(connection.execute(select(fraud_rule_roles).order_by(fraud_rule_roles.c.id.desc())))


def _of_role(role: Role) -> Any:
    return select(fraud_rule_roles).where(fraud_rule_roles.c.role == role).order_by(fraud_rule_roles.c.id.desc())


def _newest(connection: Connection, role: Role) -> str | None:
    newest = connection.execute(_of_role(role).limit(1)).one_or_none()
    version: str | None = newest.version if newest is not None else None
    return version


def _append(change: Change, role: Role, version: str | None, share: int) -> None:
    values = {"role": role, "version": version, "share": share, "author": change.actor, "at": change.now}
    change.connection.execute(insert(fraud_rule_roles), values)
    data = {"role": role, "share": share} | ({"version": version} if version else {})
    _record(change, "fraud_rules_assigned", data)


def _record(change: Change, name: str, data: dict[str, Any]) -> None:
    record_event(change.connection, name, actor=change.actor, now=change.now, data=data)
