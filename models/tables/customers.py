"""Customers: how an application's user is reached. The only table of names and addresses that mail is sent by."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from models.tables.base import Instant, metadata

customers = Table(
    "customers",
    metadata,
    Column("user_id", String(200), primary_key=True),
    Column("application", String(100), primary_key=True),
    # Personal data: read when a mail is sent, and copied nowhere.
    Column("email", String(254)),
    Column("name", String(200)),
    # Null: the operator's default.
    Column("language", String(2)),
    Column("time_zone", String(64)),
    Column("country", String(2)),
    # What is known of the address: ok, bounced or complained.
    Column("mail_status", String(20), nullable=False),
    # Since when they want no reminders. Notices of a debt are none.
    Column("unsubscribed_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
