"""The Stripe classes that the sandbox serves; `sandbox.server` imports this module by its name."""

from __future__ import annotations

from sandbox.stripe.api import Stripe

PROVIDERS = (Stripe,)
