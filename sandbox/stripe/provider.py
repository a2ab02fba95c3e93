"""What the sandbox serves of Stripe; found by its name."""

from __future__ import annotations

from sandbox.stripe.api import Stripe

PROVIDERS = (Stripe,)
