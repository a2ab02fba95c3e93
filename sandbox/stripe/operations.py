"""The table of Stripe's operations: name, path, parameters and the function that executes each.

The names are those of the official package, such as `payment_intents.create`. Faults are injected by these names.
"""

from __future__ import annotations

from sandbox.stripe import account_operations, customer_operations, payment_operations

OPERATIONS = (
    *payment_operations.OPERATIONS,
    *customer_operations.OPERATIONS,
    *account_operations.OPERATIONS,
)
