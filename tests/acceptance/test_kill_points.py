"""Kill -9 at every named point between accepting a payment and settling it: charged once, at rest, as the ledger says.

All points play at the same time, each in a deployment of its own; each test then looks at what became of its point.
"""

from __future__ import annotations

import functools
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from models.failpoints import POINTS
from stack.process import Process
from tests.acceptance.harness import (
    DAY_SECONDS,
    LOST_SECONDS,
    Deployment,
    Json,
    eventually,
    payment_body,
    reference,
    sepa_body,
    subscription_body,
    unique,
)
from tests.conftest import OpenDeployment

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(600)]

# So many deployments at once: each has a web process, a worker and a beat.
HOUSES_AT_ONCE = 8
# A lease of 15 seconds, or a ring of 30 that nobody heard, are 15 sweeps of a beat that ticks every two seconds; the
# others are for a machine on which eight deployments start at once.
RECOVERY_SWEEPS = 45
RECOVERY_SECONDS = 120.0
DEATH_SECONDS = 120.0
# What a paused worker logs when it goes on and another worker holds its attempt.
AWAKE = re.compile(r"lost before anything was sent|is recorded by another worker")


@dataclass
class Outcome:
    """What became of a payment whose process was killed."""

    shown: Json
    movements: list[str]
    recovery_seconds: float
    recovery_sweeps: int


@dataclass(frozen=True)
class Scenario:
    """How a point is reached. `prepare` runs before anything is armed, `drive` makes the armed process die. `after`
    looks at what else has become of it."""

    drive: Callable[[Deployment, str], str]
    rests: str
    movements: tuple[str, ...]
    prepare: Callable[[Deployment], str] | None = None
    is_in_web: bool = False
    after: Callable[[Deployment], None] | None = None


def process_once(deployment: Deployment, prepared: str) -> str:
    """Enqueue a card payment."""
    return str(deployment.merchant.process(payment_body())["id"])


def process_and_lose_the_answer(deployment: Deployment, prepared: str) -> str:
    """Enqueue; the process dies before it answers, and the merchant repeats the request later."""
    body, key = payment_body(), unique("key")
    with pytest.raises(requests.ConnectionError):
        deployment.merchant.process(body, idempotency_key=key)
    [row] = deployment.rows("SELECT id FROM payments WHERE invoice_id = %s", body["invoice_id"])
    return str(row["id"])


def process_in_doubt(deployment: Deployment, prepared: str) -> str:
    """Enqueue; the provider charges and does not answer."""
    deployment.provider.disturb(drop_rate=1)
    deployment.provider.fault("payment_intents.confirm", "timeout_after", seconds=LOST_SECONDS)
    return process_once(deployment, prepared)


def authorized(deployment: Deployment) -> str:
    """Authorize."""
    return str(deployment.merchant.pay(payment_body(capture=False), "authorized")["id"])


def captured(deployment: Deployment) -> str:
    """Charge."""
    return str(deployment.merchant.pay(payment_body())["id"])


def capture(deployment: Deployment, prepared: str) -> str:
    """Capture what is authorized."""
    return str(deployment.merchant.operate(prepared, "capture")["id"])


def refund(deployment: Deployment, prepared: str) -> str:
    """Refund a part."""
    return str(deployment.merchant.operate(prepared, "refunds", {"amount": "4.00"})["id"])


def cancel(deployment: Deployment, prepared: str) -> str:
    """Release what is authorized."""
    return str(deployment.merchant.operate(prepared, "cancel")["id"])


def pending(deployment: Deployment) -> str:
    """Debit a bank account; what the provider tells of it until it settles is lost."""
    deployment.provider.disturb(drop_rate=1)
    payment = deployment.merchant.pay(sepa_body(deployment.provider), "pending")
    deployment.provider.disturb(drop_rate=0)
    return str(payment["id"])


def settle(deployment: Deployment, prepared: str) -> str:
    """Let the bank settle, which a webhook tells."""
    deployment.provider.settle(reference(deployment.merchant.payment(prepared)))
    return prepared


def past_due(deployment: Deployment) -> str:
    """Decline a subscription's payment once."""
    body = subscription_body(deployment.provider.card("insufficient_funds", "success"))
    return str(deployment.merchant.pay(body, "past_due")["id"])


def let_days_pass(deployment: Deployment, prepared: str) -> str:
    """Come to the day of the first retry."""
    deployment.provider.advance(days=3)
    return prepared


def fail_with_an_address(deployment: Deployment, prepared: str) -> str:
    """Decline the payment of a customer who gets a mail about it, and for whom it is about noon."""
    body = subscription_body(deployment.provider.card("insufficient_funds", "success"))
    east = 12 - int(deployment.provider.now() % DAY_SECONDS // 3600)
    # The names of these zones have the sign of POSIX, which counts to the west.
    zone = f"Etc/GMT{-east:+d}" if east else "Etc/GMT"
    customer = {"email": "ada@example.com", "time_zone": zone}
    assert deployment.merchant.send("PUT", f"/customers/{body['user_id']}", customer).ok
    return str(deployment.merchant.process(body)["id"])


def mailed_times(times: int, deployment: Deployment) -> None:
    """Wait until the lease of the mail is over; it came so often, and is one mail to whoever reads it."""
    deployment.provider.advance(seconds=180)
    eventually(lambda: len(deployment.provider.mails()) == times, f"{times} mails")
    assert len({mail["message_id"] for mail in deployment.provider.mails()}) == 1
    eventually(lambda: not deployment.rows("SELECT id FROM outbox WHERE state = 'waiting'"), "an end of the mail")


CHARGE = Scenario(process_once, "captured", ("charge",))
DOUBT = Scenario(process_in_doubt, "captured", ("charge",))
SETTLE = Scenario(settle, "captured", ("charge",), pending)
DUNNING = Scenario(let_days_pass, "captured", ("charge",), past_due)
MAILED_ONCE = Scenario(fail_with_an_address, "past_due", (), after=functools.partial(mailed_times, 1))
SCENARIOS = {
    "accept.committed": Scenario(process_and_lose_the_answer, "captured", ("charge",), is_in_web=True),
    "charge.claimed": CHARGE,
    "charge.created": CHARGE,
    "charge.reference_saved": CHARGE,
    "charge.responded": CHARGE,
    "charge.recorded": CHARGE,
    "operation.claimed": Scenario(capture, "captured", ("authorization", "capture"), authorized),
    "operation.responded": Scenario(refund, "partially_refunded", ("charge", "refund"), captured),
    "operation.recorded": Scenario(cancel, "voided", ("authorization", "void"), authorized),
    "webhook.stored": Scenario(settle, "captured", ("charge",), pending, is_in_web=True),
    "webhook.looked_up": SETTLE,
    "webhook.applied": SETTLE,
    "reconcile.claimed": DOUBT,
    "reconcile.looked_up": DOUBT,
    "reconcile.recorded": DOUBT,
    "sweep.marked": DUNNING,
    "dunning.swept": DUNNING,
    "change.committed": DUNNING,
    "mail.claimed": MAILED_ONCE,
    "mail.begun": MAILED_ONCE,
    "mail.sent": MAILED_ONCE,
    # The one window: accepted, and not committed.
    "mail.accepted": Scenario(fail_with_an_address, "past_due", (), after=functools.partial(mailed_times, 2)),
}


def play(deployment: Deployment, point: str, scenario: Scenario) -> Outcome:
    """Let a process die at the point, start a clean one, and wait for the payment to rest."""
    deployment.start_sandbox()
    victim, bystander = deployment.worker_with_beat, deployment.web
    if scenario.is_in_web:
        victim, bystander = bystander, victim
    bystander("bystander")
    prepared = ""
    if scenario.prepare is not None:
        first = victim("first")
        prepared = scenario.prepare(deployment)
        first.kill()
    armed = victim("armed", CELERIAC_FAILPOINT=point)
    payment_id = scenario.drive(deployment, prepared)
    eventually(lambda: was_killed(armed), f"a death at {point}\n{armed.log_tail()}", DEATH_SECONDS)
    outcome = recover(deployment, armed, lambda: victim("clean"), payment_id, scenario.rests)
    if scenario.after is not None:
        scenario.after(deployment)
    return outcome


def recover(
    deployment: Deployment, dead: Process, start_clean: Callable[[], Process], payment_id: str, rests: str = "captured"
) -> Outcome:
    """Make sure that the dead stay dead, start a clean process, and wait for the payment to rest."""
    dead.kill()
    recovery = wait_for_recovery(deployment, start_clean, payment_id, rests)
    return Outcome(deployment.assert_books_agree(payment_id), deployment.provider.movements(payment_id), *recovery)


def wait_for_recovery(
    deployment: Deployment, start_clean: Callable[[], Process], payment_id: str, rests: str
) -> tuple[float, int]:
    """Start a clean process and wait for the payment to rest; return the seconds and the sweeps until then."""
    begun_at, sweeps = time.monotonic(), deployment.sweeps()
    start_clean()
    deployment.merchant.wait(payment_id, rests, seconds=RECOVERY_SECONDS)
    return time.monotonic() - begun_at, deployment.sweeps() - sweeps


def was_killed(process: Process) -> bool:
    """Tell whether kill -9 ended the worker, or a worker of gunicorn, which says so and starts another."""
    return process.exit_code() == -signal.SIGKILL or "was sent SIGKILL" in process.log_text()


def kill_in_flight(deployment: Deployment) -> Outcome:
    """Kill -9 a worker while the provider is busy with its call, which then charges."""
    deployment.start_sandbox().web()
    deployment.provider.fault("payment_intents.confirm", "latency")
    worker = deployment.worker_with_beat("first", PROVIDER_READ_TIMEOUT_SECONDS="120")
    payment_id = process_once(deployment, "")
    eventually(lambda: deployment.provider.fault_hits() == 1, "the call")
    worker.kill()
    deployment.provider.behave()
    return recover(deployment, worker, lambda: deployment.worker_with_beat("clean"), payment_id)


def freeze(deployment: Deployment, operation: str) -> Outcome:
    """Stop a worker in a call for longer than its lease, let another one take over, and wake the first."""
    deployment.start_sandbox().web()
    deployment.provider.fault(operation, "latency")
    # With more patience than it is frozen for, it finds the answer when it wakes up, and would go on.
    frozen = deployment.worker("frozen", PROVIDER_READ_TIMEOUT_SECONDS="120")
    payment_id = process_once(deployment, "")
    eventually(lambda: deployment.provider.fault_hits() == 1, "the call")
    frozen.send(signal.SIGSTOP)
    deployment.provider.behave()
    recovery = wait_for_recovery(deployment, lambda: deployment.worker_with_beat("other"), payment_id, "captured")
    frozen.send(signal.SIGCONT)
    eventually(lambda: AWAKE.search(frozen.log_text()) is not None, f"a sign of the woken\n{frozen.log_tail()}")
    return Outcome(deployment.assert_books_agree(payment_id), deployment.provider.movements(payment_id), *recovery)


PLAYS: dict[str, Callable[[Deployment], Outcome]] = {
    **{point: functools.partial(play, point=point, scenario=scenario) for point, scenario in SCENARIOS.items()},
    "killed in flight": kill_in_flight,
    "frozen in create": functools.partial(freeze, operation="payment_intents.create"),
    "frozen in confirm": functools.partial(freeze, operation="payment_intents.confirm"),
}


@pytest.fixture(scope="module")
def outcomes(open_deployment: OpenDeployment, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """What becomes of each play that a selected test is about; all begin at once."""
    nodes = [item.name for item in request.session.items]
    wanted = [name for name in PLAYS if any(node.endswith(f"[{name}]") for node in nodes)]

    def perform(name: str) -> Outcome:
        with open_deployment() as deployment:
            return PLAYS[name](deployment)

    with ThreadPoolExecutor(HOUSES_AT_ONCE) as stage:
        yield {name: stage.submit(perform, name) for name in wanted}


def test_every_point_is_played() -> None:
    assert set(SCENARIOS) == POINTS


@pytest.mark.parametrize("point", sorted(SCENARIOS))
def test_a_kill_at(point: str, outcomes: dict[str, Future[Outcome]], record_property: Callable[..., None]) -> None:
    scenario, outcome = SCENARIOS[point], outcomes[point].result()
    record_property("recovery_seconds", round(outcome.recovery_seconds, 1))
    assert tuple(outcome.movements) == scenario.movements
    assert outcome.shown["status"] == scenario.rests
    assert {attempt["status"] for attempt in outcome.shown["attempts"]} <= {"succeeded", "declined"}


@pytest.mark.parametrize("name", sorted(set(PLAYS) - set(SCENARIOS)))
def test_a_worker_that_is(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()
    assert outcome.movements == ["charge"]
    assert outcome.shown["status"] == "captured"


def test_recovery_is_soon(outcomes: dict[str, Future[Outcome]]) -> None:
    """Counted in sweeps, as seconds would measure the machine."""
    sweeps = {name: future.result().recovery_sweeps for name, future in outcomes.items()}
    assert max(sweeps.values()) <= RECOVERY_SWEEPS, sweeps
