"""Finds whose invoice or subscription a name means, for callers who belong to no application and name none."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select

from domain.names import application_meant


def find_application(connection: Connection, names: Table, name: str) -> str | None:
    """Return the only application that has an invoice or a subscription of this name; None if none has one.

    Raises AmbiguousName if several have."""
    return application_meant(connection.scalars(select(names.c.application).where(names.c.id == name)).all())
