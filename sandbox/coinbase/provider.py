"""What the sandbox serves of Coinbase; found by its name."""

from __future__ import annotations

from sandbox.coinbase.business import CoinbaseBusiness
from sandbox.coinbase.commerce import CoinbaseCommerce

PROVIDERS = (CoinbaseBusiness, CoinbaseCommerce)
