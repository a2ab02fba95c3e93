"""The provider settings of a stack: credentials that only the sandbox accepts, new at each start.

They contain the word `sandbox`, and the application refuses them together with the address of a real provider.
"""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The webhook id for which the sandbox signs PayPal's webhooks.
PAYPAL_WEBHOOK_ID = "7SANDBOX00000000WEBHOOK1"


def sandbox_credentials(sandbox_url: str, web_url: str, webhook_secret: str) -> dict[str, str]:
    """Return the settings of all providers at one sandbox, which signs its webhooks with `webhook_secret`."""
    return {
        "PUBLIC_URL": web_url,
        "LINK_SECRET": secrets.token_hex(32),
        "STRIPE_SECRET_KEY": f"sk_test_sandbox{secrets.token_hex(12)}",
        "STRIPE_PUBLISHABLE_KEY": f"pk_test_{secrets.token_hex(12)}",
        "STRIPE_WEBHOOK_SECRET": webhook_secret,
        "STRIPE_API_BASE": sandbox_url,
        "PAYPAL_CLIENT_ID": "sandbox-client",
        "PAYPAL_CLIENT_SECRET": f"sandbox-{secrets.token_hex(16)}",
        "PAYPAL_WEBHOOK_ID": PAYPAL_WEBHOOK_ID,
        "PAYPAL_API_BASE": f"{sandbox_url}/paypal",
        "KLARNA_USERNAME": "sandbox-user",
        "KLARNA_PASSWORD": f"sandbox-{secrets.token_hex(16)}",
        "KLARNA_CALLBACK_SECRET": secrets.token_hex(24),
        "KLARNA_API_BASE": f"{sandbox_url}/klarna",
        "AFTERPAY_MERCHANT_ID": "sandbox-merchant",
        "AFTERPAY_SECRET_KEY": f"sandbox-{secrets.token_hex(16)}",
        "AFTERPAY_REGION": "us",
        "AFTERPAY_API_BASE": f"{sandbox_url}/afterpay",
        "COINBASE_API_KEY_NAME": "sandbox-key",
        "COINBASE_API_KEY_SECRET": _ed25519_secret(),
        "COINBASE_WEBHOOK_SECRET": webhook_secret,
        "COINBASE_API_BASE": f"{sandbox_url}/coinbase",
        "COINBASE_COMMERCE_API_KEY": f"sandbox-{secrets.token_hex(16)}",
        "COINBASE_COMMERCE_WEBHOOK_SECRET": webhook_secret,
        "COINBASE_COMMERCE_API_BASE": f"{sandbox_url}/coinbase_commerce",
    }


def _ed25519_secret() -> str:
    """Return a key in Coinbase's format: base64 of the seed and the public key."""
    key = Ed25519PrivateKey.generate()
    return base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()
