"""What fraud scoring remembers: tries, counts by entity and time, and assessments. Entities are keyed hashes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table

from models.tables.base import Instant, Json, Sequence, metadata

# One row for each try, and for what came of it. Rows are added, and removed when they are too old; they
# are changed only where a person is erased, whose signals name no entities any more.
fraud_signals = Table(
    "fraud_signals",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("application", String(100), nullable=False),
    # opened, try, declined, abandoned, unsent, fraud, cleared
    Column("kind", String(20), nullable=False),
    # charge, front_end_intent, setup, attach
    Column("door", String(20), nullable=False),
    Column("payment_id", String(40)),
    Column("attempt_id", String(40)),
    # Tells apart what happens to one attempt several times, such as the cards tried on one intent.
    Column("reference", String(255), nullable=False),
    # In hundredths of the base currency; null for a currency without a rate.
    Column("amount", BigInteger),
    # The hash of each entity, by its kind.
    Column("entities", Json, nullable=False),
)
_is_of_attempt = fraud_signals.c.attempt_id.is_not(None)
Index(
    "uq_fraud_signals_attempt",
    fraud_signals.c.attempt_id,
    fraud_signals.c.kind,
    fraud_signals.c.reference,
    unique=True,
    postgresql_where=_is_of_attempt,
    sqlite_where=_is_of_attempt,
)
Index("ix_fraud_signals_payment", fraud_signals.c.payment_id)
Index("ix_fraud_signals_at", fraud_signals.c.at)

# Counts of one entity in one bucket of time. `size`: the bucket's length in seconds; `bucket`: its number since 1970.
fraud_counters = Table(
    "fraud_counters",
    metadata,
    Column("entity", String(32), primary_key=True),
    Column("size", Integer, primary_key=True),
    Column("bucket", Integer, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("declines", Integer, nullable=False),
    Column("abandoned", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("frauds", Integer, nullable=False),
)
Index("ix_fraud_counters_bucket", fraud_counters.c.size, fraud_counters.c.bucket)

# Which other entities an entity was tried with. `last_bucket`: the five minutes of the newest time.
fraud_links = Table(
    "fraud_links",
    metadata,
    Column("entity", String(32), primary_key=True),
    Column("kind", String(40), primary_key=True),
    Column("other", String(32), primary_key=True),
    Column("last_bucket", Integer, nullable=False),
)
Index("ix_fraud_links_newest", fraud_links.c.entity, fraud_links.c.kind, fraud_links.c.last_bucket)
Index("ix_fraud_links_last_bucket", fraud_links.c.last_bucket)

# When an entity was first and last tried, and when a fraud of it last became known. `place`: where it last was.
fraud_entities = Table(
    "fraud_entities",
    metadata,
    Column("entity", String(32), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("last_fraud_at", Instant),
    Column("place", Json),
)
Index("ix_fraud_entities_last_at", fraud_entities.c.last_at)

# Each score of a payment. The first is that before its charge.
fraud_assessments = Table(
    "fraud_assessments",
    metadata,
    Column("payment_id", String(40), ForeignKey("payments.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # charge, results, rescore
    Column("stage", String(20), nullable=False),
    Column("score", Integer, nullable=False),
    Column("decision", String(20), nullable=False),
    # Each rule that fired, with its points and the number that fired it.
    Column("reasons", Json, nullable=False),
    # The rules with points whose number was not known.
    Column("unavailable", Json, nullable=False),
    # The numbers of all rules, also of those without points, so that the score can be repeated under another rule set.
    Column("numbers", Json, nullable=False),
    Column("lists", Json, nullable=False),
    Column("has_history", Boolean, nullable=False),
    Column("rule_set", String(60), nullable=False),
    # Of the first score: whether 3-D Secure is asked for, and why or why not.
    Column("is_authentication_wanted", Boolean),
    Column("authentication_reason", String(40)),
    Column("at", Instant, nullable=False),
)
Index("ix_fraud_assessments_at", fraud_assessments.c.at)

# The slot that a try holds of an entity with a limit. Rows are counted in rolling windows, and removed when they are
# older than any.
fraud_reservations = Table(
    "fraud_reservations",
    metadata,
    Column("entity", String(32), primary_key=True),
    # An attempt, a try of it, or a request at another door.
    Column("try_id", String(300), primary_key=True),
    # offered, sent, failed, succeeded
    Column("state", String(20), nullable=False),
    # What was tried: the hash of the card, or the try where no card is known.
    Column("card", String(300), nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_fraud_reservations_entity", fraud_reservations.c.entity, fraud_reservations.c.at)
Index("ix_fraud_reservations_try", fraud_reservations.c.try_id)
Index("ix_fraud_reservations_at", fraud_reservations.c.at)

# The row of an entity that all lock who take a slot of it. `refused_since`: when the window of refusals began that
# `refused` counts.
fraud_limits = Table(
    "fraud_limits",
    metadata,
    Column("entity", String(32), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("refused", Integer, nullable=False),
    Column("refused_since", Instant),
    Column("last_at", Instant, nullable=False),
)
Index("ix_fraud_limits_last_at", fraud_limits.c.last_at)

# The global brake of an application. `on_since` null: it is off again.
fraud_brakes = Table(
    "fraud_brakes",
    metadata,
    Column("application", String(100), primary_key=True),
    Column("on_since", Instant),
    Column("looked_at", Instant, nullable=False),
)
