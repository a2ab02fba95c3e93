"""The Coinbase classes that the sandbox serves; `sandbox.server` imports this module by its name."""

from __future__ import annotations

from sandbox.coinbase.business import CoinbaseBusiness
from sandbox.coinbase.commerce import CoinbaseCommerce

PROVIDERS = (CoinbaseBusiness, CoinbaseCommerce)
