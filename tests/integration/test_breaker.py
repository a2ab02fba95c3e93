"""A provider that fails again and again is left alone for a while, and gets its traffic back by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.breaker import BreakerPolicy
from models.tables import breakers, events, payments
from tests.integration.scene import WHOLE, Scene

pytestmark = pytest.mark.postgres
BREAKER = BreakerPolicy(failures=3)
CREATE = "payment_intents.create"


@pytest.fixture(autouse=True)
def soon(scene: Scene) -> None:
    """Let three failures in a row open a breaker."""
    scene.runtime = replace(scene.runtime, policy=replace(scene.runtime.policy, breaker=BREAKER))


def test_enough_failures_in_a_row_bar_the_way(scene: Scene) -> None:
    hits = _let_fail(scene, 4)
    assert hits == 3  # the fourth was not sent
    assert [scene.attempts(payment.id)[0].retries for payment in _payments(scene)] == [1, 1, 1, 1]
    assert _told(scene) == ["breaker_opened"]


def test_a_probe_at_a_time_and_then_all_again(scene: Scene) -> None:
    _let_fail(scene, 3)
    scene.heal()
    scene.move_clock(seconds=BREAKER.reset_after.total_seconds())
    first, second, third = (payment.id for payment in _payments(scene))
    inside: list[str] = []

    def meanwhile() -> None:
        scene.run("payments.charge", scene.attempts(second)[0].id)
        inside.append(scene.state(second))

    scene.meanwhile("charge", meanwhile)
    scene.run("payments.charge", scene.attempts(first)[0].id)
    assert (scene.state(first), inside) == ("captured", ["accepted"])  # barred while the probe was out
    assert _told(scene) == ["breaker_opened", "breaker_closed"]

    scene.run("payments.charge", scene.attempts(third)[0].id)
    assert scene.state(third) == "captured"
    scene.pass_time(minutes=5)
    assert scene.moved() == [("charge", WHOLE)] * 3


def test_a_failed_probe_opens_it_again(scene: Scene) -> None:
    _let_fail(scene, 3)
    scene.move_clock(seconds=BREAKER.reset_after.total_seconds())
    hits, probed_at = scene.sandbox.state.faults.all()[0].hits, scene.now()
    for payment in _payments(scene):
        scene.run("payments.charge", scene.attempts(payment.id)[0].id)
    assert scene.sandbox.state.faults.all()[0].hits == hits + 1
    assert scene.rows(breakers)[0].opened_at >= probed_at
    assert _told(scene) == ["breaker_opened"]


def test_a_probe_that_never_came_back_bars_the_way_only_for_a_while(scene: Scene) -> None:
    _let_fail(scene, 3)
    scene.heal()
    scene.move_clock(seconds=BREAKER.reset_after.total_seconds())

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    charge, scene.gateway.charge = scene.gateway.charge, die
    first, second, _third = (scene.attempts(payment.id)[0].id for payment in _payments(scene))
    with pytest.raises(KeyboardInterrupt):
        scene.run("payments.charge", first)
    scene.gateway.charge = charge
    scene.run("payments.charge", second)
    assert scene.moved() == []
    scene.pass_time(seconds=BREAKER.probe_lasts.total_seconds())
    scene.pass_time(minutes=5)
    assert scene.moved() == [("charge", WHOLE)] * 3


def test_a_success_in_between_begins_the_count_anew(scene: Scene) -> None:
    _let_fail(scene, 2)
    scene.heal()
    scene.pay("well")
    scene.rest()
    assert _let_fail(scene, 2, "more") == 2
    assert _told(scene) == []


@pytest.mark.parametrize("card", ["pm_card_visa_chargeDeclinedInsufficientFunds", "pm_none"])
def test_declines_and_requests_at_fault_are_no_failures_of_the_provider(scene: Scene, card: str) -> None:
    for number in range(4):
        scene.pay(f"inv{number}", card)
    scene.rest()
    assert scene.rows(breakers) == []


def _let_fail(scene: Scene, times: int, invoice: str = "inv") -> int:
    """Ask for so many payments while the provider answers 500; return how many calls it saw."""
    scene.fail(CREATE, "error_before", times=None)
    for number in range(times):
        scene.pay(f"{invoice}{number}")
    scene.rest()
    return sum(fault.hits for fault in scene.sandbox.state.faults.all())


def _payments(scene: Scene) -> list[object]:
    return scene.rows(payments)


def _told(scene: Scene) -> list[str]:
    return [row.name for row in scene.rows(events) if row.name.startswith("breaker_")]
