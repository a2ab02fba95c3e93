"""Stores many tries at once by SQL, with the counts, links and entities that they have left.

They are those of a shop: most users keep to themselves, and a guest account, an IP address, an office and a range of
cards are shared by thousands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from domain.fraud.entities import Subject, network_of
from domain.fraud.windows import KEPT_FOR, LINKS, BucketSize, sizes_of

APPLICATION = "bench"
# The tries are spread evenly over so long, up to now.
SPAN = timedelta(days=100)
TRIES_OF_A_USER = 5
HOT_IP, OFFICE_IP, HOT_BIN, GUEST = "203.0.113.9", "198.51.100.1", "424242", "guest"
_BLOCK = 64
_LETTERS = str.maketrans("0123456789", "abcdefghij")


@dataclass(frozen=True)
class Population:
    """The users of a shop with so many tries."""

    tries: int

    @property
    def users(self) -> int:
        """How many there are."""
        return max(1, self.tries // TRIES_OF_A_USER)

    def subject(self, number: int, *, is_hot: bool = False) -> Subject:
        """Return a user with all that is theirs, the same as stored. `is_hot`: a guest with what thousands share."""
        letters = str(number).translate(_LETTERS)
        parts = (11 + number // 2**24, number // 2**16 % 256, number // 2**8 % 256, number % 256)
        return Subject(
            user=GUEST if is_hot else f"user_{number}",
            card=f"card_{number}",
            bin=HOT_BIN if is_hot else str(510_000 + number % 2_000),
            ip=HOT_IP if is_hot else ".".join(map(str, parts)),
            device=f"device_{number}",
            email=f"{letters}@example.com",
            address=f"12 street of {letters}",
        )


_FUNCTION = """
CREATE FUNCTION pg_temp.hash(kind text, value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(encode(sha256('\\x{outer}'::bytea || sha256('\\x{inner}'::bytea || convert_to('{application}', 'UTF8')
        || '\\x00'::bytea || convert_to(kind, 'UTF8') || '\\x00'::bytea || convert_to(value, 'UTF8'))), 'hex'), 32) $$
"""
_PEOPLE = """
CREATE TEMP TABLE people ON COMMIT DROP AS
    SELECT u, pg_temp.hash('user', 'user_' || u) AS "user", pg_temp.hash('card', 'card_' || u) AS card,
        pg_temp.hash('bin', (510000 + u % 2000)::text) AS bin, pg_temp.hash('ip', ip) AS ip,
        pg_temp.hash('network', network) AS network, pg_temp.hash('device', 'device_' || u) AS device,
        pg_temp.hash('email', letters || '@example.com') AS email,
        pg_temp.hash('email_pattern', letters || '@example.com') AS email_pattern,
        pg_temp.hash('address', '12 street of ' || letters) AS address
    FROM generate_series(0, :users - 1) AS u,
        LATERAL (SELECT translate(u::text, '0123456789', 'abcdefghij') AS letters,
            11 + u / 16777216 || '.' || u / 65536 % 256 || '.' || u / 256 % 256 AS prefix) AS a,
        LATERAL (SELECT prefix || '.' || u % 256 AS ip, prefix || '.0/24' AS network) AS b;
CREATE TEMP TABLE tries ON COMMIT DROP AS
    SELECT k, k * 7919 % :users AS u, CAST(:now AS timestamptz) - (:tries - k) * CAST(:gap AS interval) AS at,
        (500 + k * 31 % 20000)::int AS amount, m % 20 = 3 AS is_declined, m % 20 = 0 AS is_guest,
        m % 50 = 1 AS is_hot_ip, m % 200 = 2 AS is_office, m % 5 = 0 AS is_hot_bin
    FROM generate_series(CAST(0 AS bigint), :tries - 1) AS k, LATERAL (SELECT k + k / :users * 7 AS m) AS mixed;
CREATE TEMP VIEW seen AS
    SELECT k, at, amount, is_declined, CASE WHEN is_guest THEN {guest} ELSE "user" END AS "user", card,
        CASE WHEN is_hot_bin THEN {bin} ELSE bin END AS bin,
        CASE WHEN is_hot_ip THEN {hot_ip} WHEN is_office THEN {office_ip} ELSE ip END AS ip,
        CASE WHEN is_hot_ip THEN {hot_network} WHEN is_office THEN {office_network} ELSE network END AS network,
        device, email, email_pattern, address
    FROM tries JOIN people USING (u)
"""
_SIGNALS = """
INSERT INTO fraud_signals (at, application, kind, door, payment_id, attempt_id, reference, amount, entities)
    SELECT at, '{application}', 'try', 'charge', 'old_' || k, 'old_' || k, '', amount,
        json_build_object('user', "user", 'card', card, 'bin', bin, 'ip', ip, 'network', network, 'device', device,
            'email', email, 'email_pattern', email_pattern, 'address', address)
    FROM seen
"""
_COUNTERS = """
INSERT INTO fraud_counters (entity, size, bucket, tries, declines, abandoned, amount, frauds)
    SELECT {kind}, {size}, bucket, count(*), count(*) FILTER (WHERE is_declined), 0, sum(amount), 0
    FROM (SELECT *, (extract(epoch FROM at)::bigint / {size})::int AS bucket FROM seen WHERE at > :since) AS counted
    GROUP BY 1, bucket
"""
_LINKS = """
INSERT INTO fraud_links (entity, kind, other, last_bucket)
    SELECT {one}, '{kind}', {other}, max((extract(epoch FROM at)::bigint / 300)::int) FROM seen WHERE at > :since
    GROUP BY 1, 3
"""
_ENTITIES = """
INSERT INTO fraud_entities (entity, kind, first_at, last_at)
    SELECT {kind}, '{kind_name}', min(at), max(at) FROM seen GROUP BY 1
"""
_TABLES = ("fraud_signals", "fraud_counters", "fraud_links", "fraud_entities")
_KINDS = ("user", "card", "bin", "ip", "network", "device", "email", "email_pattern", "address")


def store_tries(connection: Connection, population: Population, key: str, now: datetime) -> None:
    """Store the tries of a population under a key. The indexes are built when all rows are there."""
    for setting in ("statement_timeout = 0", "maintenance_work_mem = '1GB'", "work_mem = '512MB'"):
        connection.execute(text(f"SET LOCAL {setting}"))
    given = {"users": population.users, "tries": population.tries, "now": now, "gap": SPAN / population.tries}
    connection.exec_driver_sql(_FUNCTION.format(**_pads(key), application=APPLICATION))
    for statement in _PEOPLE.format(**_hot()).split(";"):
        connection.execute(text(statement), given)
    indexes = [index for table in _TABLES for index in _indexes(connection, table)]
    for table, _, drop in indexes:
        connection.exec_driver_sql(drop.format(table=table))
    connection.execute(text("ANALYZE people, tries"))
    _fill(connection, now)
    for table, create, _ in indexes:
        connection.exec_driver_sql(create.format(table=table))


def _fill(connection: Connection, now: datetime) -> None:
    connection.execute(text(_SIGNALS.format(application=APPLICATION)))
    for kind in _KINDS:
        connection.execute(text(_ENTITIES.format(kind=f'"{kind}"', kind_name=kind)))
        for size in sizes_of(kind):
            counted = text(_COUNTERS.format(kind=f'"{kind}"', size=int(size)))
            connection.execute(counted, {"since": now - KEPT_FOR[size]})
    for one, other in sorted({(one, other) for one, other, _ in LINKS}):
        linked = text(_LINKS.format(one=f'"{one}"', kind=other, other=f'"{other}"'))
        connection.execute(linked, {"since": now - KEPT_FOR[BucketSize.FIVE_MINUTES]})


def _hot() -> dict[str, str]:
    shared = {
        "guest": ("user", GUEST),
        "bin": ("bin", HOT_BIN),
        "hot_ip": ("ip", HOT_IP),
        "office_ip": ("ip", OFFICE_IP),
        "hot_network": ("network", network_of(HOT_IP)),
        "office_network": ("network", network_of(OFFICE_IP)),
    }
    return {name: f"pg_temp.hash('{kind}', '{value}')" for name, (kind, value) in shared.items()}


def _pads(key: str) -> dict[str, str]:
    """Return the two blocks of the keyed hash (RFC 2104), as hexadecimal digits. Keys are shorter than a block."""
    padded = key.encode().ljust(_BLOCK, b"\0")
    return {name: bytes(byte ^ pad for byte in padded).hex() for name, pad in (("outer", 0x5C), ("inner", 0x36))}


def _indexes(connection: Connection, table: str) -> list[tuple[str, str, str]]:
    """Return the table, and the statements that create and drop each of its indexes."""
    primary = connection.execute(
        text("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = CAST(:t AS regclass) "
             "AND contype = 'p'"), {"t": table},
    ).one()  # fmt: skip
    others: list[Any] = list(
        connection.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :t AND indexname <> :primary"),
            {"t": table, "primary": primary[0]},
        )
    )
    found = [(table, f"ALTER TABLE {{table}} ADD CONSTRAINT {primary[0]} {primary[1]}",
              f"ALTER TABLE {{table}} DROP CONSTRAINT {primary[0]}")]  # fmt: skip
    return found + [(table, definition, f"DROP INDEX {name}") for name, definition in others]
