"""Random customers of the simulator's model in a whole system: no rule is broken, and the simulator foretells them.

`python3 dev.py dunning` plays more of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.declines.caps import VISA_CAP
from domain.dunning.policy import STANDARD, STRONG, DunningPolicy
from domain.simulation.invariants import violations_of
from domain.simulation.play import History, Strategy, play
from tests.determinism import CountedIds
from tests.integration.dunning_histories import DunningHistories, customers_of
from tests.mailing import mailing
from worker.simulation_run import general_policy

# Some mails are published by the sweep, half a minute later: that a debt was paid by another payment, and those after a
# try that a limit forbids. Who reacts to one is as much later.
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("policy", [STANDARD, STRONG], ids=lambda policy: policy.name)
def test_customers_of_the_model_meet_no_broken_rule_and_what_the_simulator_foretells(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, policy: DunningPolicy
) -> None:
    how_many, seed = request.config.getoption("--dunning-histories"), request.config.getoption("--dunning-seed")
    # A time within a window is drawn by the id of its payment.
    monkeypatch.setattr("models.tables.base.secrets", CountedIds())
    with mailing(sqlite_url, monkeypatch) as system:
        calendar = general_policy().calendar
        system.change_runtime(policy=replace(system.runtime.policy, dunning=policy, calendar=calendar))
        histories = DunningHistories(system, customers_of(seed, how_many)).play()
    assert len(histories) == how_many
    for history in histories:
        assert violations_of(history, VISA_CAP) == []
        if not policy.window_days:
            foretold = play(history.customer, Strategy(policy.name, policy), general_policy())
            assert told(history) == told(foretold)
            assert all(is_near(*pair) for pair in zip(moments(history), moments(foretold), strict=True))


def told(history: History) -> dict[str, object]:
    """Return what the simulator and the database have to tell alike."""
    return {
        "tries": [(tried.sent_at, tried.cause, tried.decline is None) for tried in history.tries],
        "mails": [mail for _, mail in history.mails],
        "case": history.happened[-1].case,
    }


def moments(history: History) -> list[datetime | None]:
    """Return when mails were sent, and when the customer has paid or left."""
    return [*(at for at, _ in history.mails), history.paid_at, history.left_at]


def is_near(at: datetime | None, foretold: datetime | None) -> bool:
    """Tell whether both are within a minute, or there is neither."""
    return at is foretold is None or (at is not None and foretold is not None and abs(at - foretold) <= MINUTE)
