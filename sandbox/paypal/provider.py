"""The PayPal classes that the sandbox serves; `sandbox.server` imports this module by its name."""

from __future__ import annotations

from sandbox.paypal.api import PayPal

PROVIDERS = (PayPal,)
