"""Secrets, card numbers and personal data are masked in log lines, and nothing else is."""

from __future__ import annotations

import logging
import sys

import pytest

from worker.redaction import RedactingFormatter, redact, redact_handlers

SECRETS = [
    "sk_test_abcdefgh",
    "sk_live_abcdefgh",
    "rk_live_abcdefgh",
    "whsec_abcdefgh",
    "ck_abcd-efgh_ij",
    "pm_card_visa",
    "tok_visa",
    "src_abcdef",
    "cus_abcdef",
    "pi_123_secret_456",
    "pl_WyJzaG9wIiwiaW52Il0.c-4_XzA",
    "pl_.eJxVzLsOgjAU.c-4_XzA",
    "jo.doe+x@example.org",
    "4242424242424242",
    "4242 4242 4242 4242",
    "3782-822463-10005",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("text", ["{}", "a {} b", "'{}'", "x={}", "({})", "{{'k': '{}'}}"])
def test_secrets_are_masked(secret: str, text: str) -> None:
    written = redact(text.format(secret))
    assert secret not in written
    assert "[masked]" in written


@pytest.mark.parametrize(
    "url", ["postgresql://user:canary@host/db", "redis://:canary@host:6379/0", "amqp://u:canary@h//"]
)
def test_passwords_in_addresses_are_masked(url: str) -> None:
    assert "canary" not in redact(f"cannot reach {url}")


@pytest.mark.parametrize(
    "text",
    [
        "attempt at_019ab8c3d2f1a4b5c6d7e8f90a1b2c3d succeeded",
        "payment pay_019ab8c3d2f1a4b5c6d7e8f90a1b2c3d is captured, pi_3Qabc",
        "2026-11-23 12:00:00,123 INFO worker: 17 of 500",
        "http://127.0.0.1:4242/v1/payment_intents",
    ],
)
def test_other_text_stays_readable(text: str) -> None:
    assert redact(text) == text


def record(message: str, *args: object, **how: object) -> logging.LogRecord:
    return logging.LogRecord("name", logging.INFO, "file", 1, message, args, how.get("exc_info"))  # type: ignore[arg-type]


def test_arguments_and_tracebacks_are_masked() -> None:
    formatter = RedactingFormatter(logging.Formatter("%(name)s %(message)s"))
    assert formatter.format(record("for %s", "jo@example.org")) == "name for [masked]"
    try:
        raise ValueError("sk_test_abcdefgh")
    except ValueError:
        written = formatter.format(record("failed", exc_info=sys.exc_info()))
    assert "ValueError" in written
    assert "sk_test" not in written


def test_every_handler_of_a_logger_redacts_once() -> None:
    logger = logging.Logger("own")
    handlers = [logging.StreamHandler(), logging.NullHandler()]
    for handler in handlers:
        logger.addHandler(handler)
    redact_handlers(logger)
    formatters = [handler.formatter for handler in handlers]
    assert all(isinstance(each, RedactingFormatter) for each in formatters)
    redact_handlers(logger)
    assert [handler.formatter for handler in handlers] == formatters
