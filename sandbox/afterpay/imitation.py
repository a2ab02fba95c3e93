"""What the sandbox serves of Afterpay; found by its name."""

from __future__ import annotations

from sandbox.afterpay.api import Afterpay

PROVIDERS = (Afterpay,)
