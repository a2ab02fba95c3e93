"""Afterpay's signature of a notification, by an example that another program has signed."""

from __future__ import annotations

from datetime import UTC, datetime

from .benches.afterpay import ProviderBench as AfterpayBench


def test_an_example_that_openssl_has_signed(afterpay: AfterpayBench) -> None:
    """printf '<url>\\n<date>\\n{"webhook_event_id"...' | openssl dgst -hmac key -sha256 -binary | base64"""
    gateway = afterpay.gateway(webhook_secret="key")
    body = b'{"webhook_event_id": "1", "webhook_event_type": "created"}'
    headers = {
        "X-Afterpay-Request-Date": "1664239810",
        "X-Afterpay-Request-Signature": "nzgnOmxCvjzV060fKYegKcjgqdpDIvvqjcJeslNw58M=",
    }
    at = datetime.fromtimestamp(1_664_239_810, UTC)
    assert gateway.verify_webhook(body, headers, at, "https://pay.example/webhooks/afterpay").event_id == "1"
