"""What people say about fraud: lists of entities, labels of payments, reviews. Entities are keyed hashes."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from models.tables.base import Instant, metadata

# One row for each entry of a list. Rows are added, and removed by a mark only.
fraud_lists = Table(
    "fraud_lists",
    metadata,
    Column("id", String(40), primary_key=True),
    # Null: of all applications.
    Column("application", String(100)),
    # allow, block, watch
    Column("kind", String(20), nullable=False),
    Column("entity_kind", String(40), nullable=False),
    Column("entity", String(32), nullable=False),
    # What people see of the entity: its kind and the first digits of the hash.
    Column("hint", String(60), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("author", String(120), nullable=False),
    Column("expires_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("removed_at", Instant),
)
_is_listed = fraud_lists.c.removed_at.is_(None)
# One entry at most of an entity and a kind. The index serves the score as well.
Index(
    "uq_fraud_lists_one_entry",
    fraud_lists.c.entity,
    fraud_lists.c.kind,
    unique=True,
    postgresql_where=_is_listed,
    sqlite_where=_is_listed,
)

# Whether a payment is fraud, in the words of each source: dispute, early_fraud_warning, refund, review, operator.
fraud_labels = Table(
    "fraud_labels",
    metadata,
    Column("payment_id", String(40), ForeignKey("payments.id"), primary_key=True),
    Column("source", String(30), primary_key=True),
    Column("is_fraud", Boolean, nullable=False),
    # When it became known here.
    Column("at", Instant, nullable=False),
    Column("author", String(120), nullable=False),
    # Never personal data.
    Column("note", String(500)),
)
Index("ix_fraud_labels_at", fraud_labels.c.at)

# Each time that a payment waits for a person: since when, until when, who has it in hand, and how it ended.
fraud_reviews = Table(
    "fraud_reviews",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("payment_id", String(40), ForeignKey("payments.id"), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("claimed_by", String(120)),
    Column("claimed_until", Instant),
    # Null from its end on.
    Column("due_at", Instant),
    Column("published_at", Instant),
    # How often its task has failed by a bug of ours.
    Column("failures", Integer, nullable=False),
    Column("closed_at", Instant),
    Column("closed_by", String(120)),
    # approved, rejected, expired, ended
    Column("outcome", String(20)),
    Column("reason", String(500)),
)
_is_open = fraud_reviews.c.closed_at.is_(None)
Index(
    "uq_fraud_reviews_one_open",
    fraud_reviews.c.payment_id,
    unique=True,
    postgresql_where=_is_open,
    sqlite_where=_is_open,
)
_is_due = fraud_reviews.c.due_at.is_not(None)
Index("ix_fraud_reviews_due", fraud_reviews.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
Index("ix_fraud_reviews_payment", fraud_reviews.c.payment_id)
Index("ix_fraud_reviews_opened_at", fraud_reviews.c.opened_at)
