"""Owns the table of Stripe's operations: name, address, parameters, and the function that executes each.

Names are those of the official package (`payment_intents.create`); faults are ordered by them.
"""

from __future__ import annotations

from sandbox.stripe import account_operations, customer_operations, payment_operations

OPERATIONS = (
    *payment_operations.OPERATIONS,
    *customer_operations.OPERATIONS,
    *account_operations.OPERATIONS,
)
