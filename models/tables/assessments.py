"""Fraud assessments: the score of each payment, with the rules that fired."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table

from models.tables.base import Instant, Json, metadata

assessments = Table(
    "assessments",
    metadata,
    Column("payment_id", String(40), ForeignKey("payments.id"), primary_key=True),
    Column("score", Integer, nullable=False),
    Column("decision", String(20), nullable=False),
    Column("reasons", Json, nullable=False),
    Column("rule_set", String(60), nullable=False),
    Column("at", Instant, nullable=False),
)
