"""The error with which checkouts and charges refuse a request; each API puts it into its own format."""

from __future__ import annotations


class InvalidRequest(Exception):
    """The request is invalid; the message says why."""
