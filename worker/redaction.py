"""Masks secrets, card numbers and e-mail addresses in every log line.

The last defence: no code logs them on purpose, but a library or a traceback may."""

from __future__ import annotations

import logging
import re

from domain.card_number import contains_card_number

_SECRETS = re.compile(
    r"\bpl_[A-Za-z0-9_.-]{4,}"
    r"|\b(?:(?:sk|rk)_(?:test|live)_|whsec_|ck_|pm_|tok_|src_|cus_)[A-Za-z0-9_-]{4,}"
    r"|\b\w+_secret_\w+"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+",
    re.ASCII,
)
_NUMBERS = re.compile(r"\d(?:[\s.\-/]{0,2}\d){12,}", re.ASCII)


def redact(text: str) -> str:
    """Return the text with secrets and personal data masked.

    >>> redact("key sk_test_abcdef for jo@example.org")
    'key [masked] for [masked]'
    """
    masked = _SECRETS.sub("[masked]", text)
    return _NUMBERS.sub(lambda match: "[masked]" if contains_card_number(match[0]) else match[0], masked)


class RedactingFormatter(logging.Formatter):
    """Formats a record with the wrapped formatter, then redacts the text, tracebacks included."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the redacted line."""
        return redact(self._inner.format(record))


def redact_handlers(logger: logging.Logger) -> None:
    """Redact the output of every handler of a logger. Calling it again changes nothing."""
    for handler in logger.handlers:
        if not isinstance(handler.formatter, RedactingFormatter):
            handler.setFormatter(RedactingFormatter(handler.formatter))
