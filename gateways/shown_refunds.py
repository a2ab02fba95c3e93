"""What a provider's answer shows beside what was asked about: the refunds of its charge, whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from domain.comparison import ShownRefund
from gateways.failures import MalformedResponse

# The refunds by their own references, for each charge by its reference.
ShownRefunds = dict[str, dict[str, ShownRefund]]

_watched: ContextVar[ShownRefunds | None] = ContextVar("watched", default=None)


@contextmanager
def watch_for_refunds() -> Iterator[ShownRefunds]:
    """Collect the refunds that the answers to this thread's calls inside the block show."""
    shown: ShownRefunds = {}
    token = _watched.set(shown)
    try:
        yield shown
    finally:
        _watched.reset(token)


def note_refunds(charge_reference: str, read: Callable[[], Iterable[ShownRefund]]) -> None:
    """Note what an answer shows of a charge's refunds, if somebody watches.

    What cannot be read is logged and left out: nobody asked about it."""
    shown = _watched.get()
    if shown is None:
        return
    try:
        refunds = {refund.reference: refund for refund in read()}
    except MalformedResponse:
        return
    if refunds:
        shown.setdefault(charge_reference, {}).update(refunds)
