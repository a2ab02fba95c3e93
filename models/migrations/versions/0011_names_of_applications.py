"""names of invoices and subscriptions belong to their application

Every row has its application already. Where a payment has another one than its invoice or subscription, the payment's
counts, because it says who collects."""

from __future__ import annotations

import re
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


class _Key(NamedTuple):
    """A primary key, or with `parent` a foreign key."""

    table: str
    name: str
    columns: list[str]
    parent: str = ""
    parent_columns: list[str] = []

    @property
    def text(self) -> str:
        """The constraint in the words in which SQLite keeps it."""
        columns = ", ".join(self.columns)
        if not self.parent:
            return f"CONSTRAINT {self.name} PRIMARY KEY ({columns})"
        referred = ", ".join(self.parent_columns)
        return f"CONSTRAINT {self.name} FOREIGN KEY({columns}) REFERENCES {self.parent} ({referred})"


# By which column a child has the name.
_PARENTS = {"invoices": "invoice_id", "subscriptions": "subscription_id"}
_OLD_KEYS = [
    *(_Key(parent, f"pk_{parent}", ["id"]) for parent in _PARENTS),
    *(
        _Key(child, f"fk_{child}_{column}", [column], parent, ["id"])
        for child in ("payments", "dunning_cases")
        for parent, column in _PARENTS.items()
    ),
]
# A dunning case has the names of its payment, whose foreign keys hold for both.
_NEW_KEYS = [
    *(_Key(parent, f"pk_{parent}", ["id", "application"]) for parent in _PARENTS),
    *(
        _Key("payments", f"fk_payments_{column}_application", [column, "application"], parent, ["id", "application"])
        for parent, column in _PARENTS.items()
    ),
]
# Parents first.
_TABLES = ("invoices", "subscriptions", "payments", "dunning_cases")
_LIVE_COLLECTION = "uq_payments_one_live_collection"
_IS_LIVE = sa.text(
    "state IN ('accepted', 'amount_mismatch', 'authorized', 'in_doubt', 'pending', 'processing', 'requires_action', "
    "'review')"
)
_OLD_INDEXES = {
    _LIVE_COLLECTION: ["invoice_id"],
    "ix_payments_invoice": ["invoice_id"],
    "ix_payments_user": ["user_id", "created_at"],
}
_NEW_INDEXES = {
    _LIVE_COLLECTION: ["invoice_id", "application"],
    "ix_payments_invoice": ["invoice_id", "application"],
    "ix_payments_user": ["user_id", "application", "created_at"],
}


def upgrade() -> None:
    """Apply."""
    _replace_indexes(_NEW_INDEXES)
    if _is_sqlite():
        _rebuild_tables(_OLD_KEYS, _NEW_KEYS)
        _follow_payments()
    else:
        _drop_keys(_OLD_KEYS)
        _create_keys(_NEW_KEYS, are_foreign=False)
        _follow_payments()
        _create_keys(_NEW_KEYS, are_foreign=True)


def downgrade() -> None:
    """Take back. The database refuses it where two applications have used one name."""
    _replace_indexes(_OLD_INDEXES)
    if _is_sqlite():
        _rebuild_tables(_NEW_KEYS, _OLD_KEYS)
    else:
        _drop_keys(_NEW_KEYS)
        _create_keys(_OLD_KEYS, are_foreign=False)
        _create_keys(_OLD_KEYS, are_foreign=True)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _replace_indexes(indexes: dict[str, list[str]]) -> None:
    for name, columns in indexes.items():
        is_live_only = name == _LIVE_COLLECTION
        where = _IS_LIVE if is_live_only else None
        op.drop_index(name, "payments")
        op.create_index(name, "payments", columns, unique=is_live_only, postgresql_where=where, sqlite_where=where)


def _drop_keys(keys: list[_Key]) -> None:
    # Foreign keys first: they need the primary keys.
    for key in reversed(keys):
        op.drop_constraint(key.name, key.table)


def _create_keys(keys: list[_Key], *, are_foreign: bool) -> None:
    for key in keys:
        if key.parent and are_foreign:
            op.create_foreign_key(key.name, key.table, key.parent, key.columns, key.parent_columns)
        elif not key.parent and not are_foreign:
            op.create_primary_key(key.name, key.table, key.columns)


def _follow_payments() -> None:
    """Give an invoice or subscription to the application of its payments, a copy to each if they have several."""
    for table, column in _PARENTS.items():
        columns = [found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)]
        copied = ", ".join("p.application" if name == "application" else f"n.{name}" for name in columns)
        has_own_payment = f"EXISTS (SELECT 1 FROM payments p WHERE p.{column} = n.id AND p.application = n.application)"  # noqa: S608
        op.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT DISTINCT {copied} "  # noqa: S608 (fixed names)
            f"FROM {table} n JOIN payments p ON p.{column} = n.id AND p.application <> n.application"
        )
        op.execute(
            f"DELETE FROM {table} AS n WHERE NOT {has_own_payment} "  # noqa: S608
            f"AND EXISTS (SELECT 1 FROM payments p WHERE p.{column} = n.id)"
        )


def _rebuild_tables(old: list[_Key], new: list[_Key]) -> None:
    """Replace keys on SQLite, which can do so only in a new table. All are dropped before one is created, because no
    row may be written while a foreign key refers to a key that is none."""
    connection = op.get_bind()
    # The other tables refer to payments, which are gone in between.
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    master = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = ? AND sql IS NOT NULL"
    stored = {
        table: [connection.exec_driver_sql(master, (table, kind)).scalars().all() for kind in ("table", "index")]
        for table in _TABLES
    }
    for table in _TABLES:
        connection.exec_driver_sql(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608
    for table in reversed(_TABLES):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    for table, ([created], indexes) in stored.items():
        connection.exec_driver_sql(_with_keys(created, table, old, new))
        for index in indexes:
            connection.exec_driver_sql(index)
        connection.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608
        connection.exec_driver_sql(f"DROP TABLE kept_{table}")


def _with_keys(created: str, table: str, old: list[_Key], new: list[_Key]) -> str:
    """Return the text that creates a table, with other keys."""
    for key in old:
        if key.table == table:
            created, count = re.subn(rf",\s*{re.escape(key.text)}", "", created)
            if count != 1:
                raise AssertionError(f"bug: {table} has no {key.text}")
    added = [key.text for key in new if key.table == table]
    return ", ".join([created.rstrip().removesuffix(")"), *added]) + ")"
