"""How an attempt stands at Klarna, read from its page and its order.

A look-up also releases money that must not stay held: the worker that should have released it may have died."""

from __future__ import annotations

from domain.outcome import Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest
from gateways.json_api import looked_up
from gateways.klarna.client import KlarnaClient
from gateways.klarna.errors import ErrorKind, ErrorResponse
from gateways.klarna.hosted_page import HostedPage
from gateways.klarna.responses import (
    Order,
    PageSession,
    outcome_of_order,
    outcome_of_page,
    outcome_of_refund,
    release_due,
    shown_refunds,
)
from gateways.shown_refunds import note_refunds


def look_up(client: KlarnaClient, attempt: AttemptRequest, reference: str) -> Outcome:
    """Return how an attempt stands. A look-up that fails proves nothing: it is doubt."""
    return looked_up(reference, lambda: _look_up(client, attempt, reference))


def read_page(client: KlarnaClient, attempt: AttemptRequest, page: HostedPage) -> PageSession | None:
    """Return the page as it stands; None for a void of a page that Klarna has forgotten. Raises CallFailed."""
    try:
        return client.read_page(page)
    except ErrorResponse as error:
        if error.error_kind is ErrorKind.NOT_FOUND and attempt.verb is Verb.VOID:
            return None
        raise


def _look_up(client: KlarnaClient, attempt: AttemptRequest, reference: str) -> Outcome:
    page = HostedPage.of(reference)
    if page is None:
        return _look_up_order(client, attempt, reference)
    session = read_page(client, attempt, page)
    if session is not None and session.order_id:
        return _look_up_order(client, attempt, session.order_id)
    return outcome_of_page(attempt, page, session)


def _look_up_order(client: KlarnaClient, attempt: AttemptRequest, order_id: str) -> Outcome:
    order = client.read_order(order_id)
    note_refunds(order_id, lambda: shown_refunds(order))
    if attempt.verb is Verb.REFUND:
        return outcome_of_refund(attempt, order)
    operation = release_due(attempt, order)
    if operation is not None:
        order = _release(client, order_id, operation)
    return outcome_of_order(attempt, order)


def _release(client: KlarnaClient, order_id: str, operation: str) -> Order:
    try:
        # Without a key: under one, a failure that Klarna has stored would come back in every look-up. The order has
        # just shown that the money is held, and what is released already is not released twice.
        client.change_order(order_id, operation)
    except ErrorResponse as error:
        # In the wrong state: the money was released before, or the hold has ended. The order shows which.
        if error.error_kind is not ErrorKind.WRONG_STATE:
            raise
    return client.read_order(order_id)
