"""The Afterpay classes that the sandbox serves; `sandbox.server` imports this module by its name."""

from __future__ import annotations

from sandbox.afterpay.api import Afterpay

PROVIDERS = (Afterpay,)
