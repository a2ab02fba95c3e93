"""What responses show of refunds is collected for who watches, and never spoils what was asked about."""

from __future__ import annotations

from domain.comparison import ShownRefund
from domain.outcome import Approved
from gateways.failures import MalformedResponse
from gateways.shown_refunds import note_refunds, watch_for_refunds


def given(reference: str, minor: int = 100) -> ShownRefund:
    """Return a refund that was given."""
    return ShownRefund(reference, Approved(reference, refunded=minor))


def unreadable() -> list[ShownRefund]:
    """Fail as a reader does that meets a malformed refund."""
    raise MalformedResponse("Refund.amount")


def test_the_refunds_of_each_charge_are_collected_once() -> None:
    with watch_for_refunds() as shown:
        note_refunds("pi_1", lambda: [given("re_1"), given("re_2")])
        note_refunds("pi_1", lambda: [given("re_2", 50)])
        note_refunds("pi_2", lambda: [])
    assert shown == {"pi_1": {"re_1": given("re_1"), "re_2": given("re_2", 50)}}


def test_what_cannot_be_read_is_left_out() -> None:
    with watch_for_refunds() as shown:
        note_refunds("pi_1", unreadable)
    assert shown == {}


def test_nothing_is_read_where_nobody_watches() -> None:
    with watch_for_refunds() as shown:
        pass
    note_refunds("pi_1", unreadable)
    assert shown == {}
