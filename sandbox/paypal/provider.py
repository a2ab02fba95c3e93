"""What the sandbox serves of PayPal; found by its name."""

from __future__ import annotations

from sandbox.paypal.api import PayPal

PROVIDERS = (PayPal,)
