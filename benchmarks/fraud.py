"""What fraud scoring costs in the charge path, with few and with many stored tries.

Two databases hold the tries of `benchmarks/stored_tries.py`, and payments of both take turns. Measured are the two
parts of a charge that screen it: what is read and scored before the lock, and what the claim stores of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from statistics import quantiles

from sqlalchemy import Connection, Engine, select, text

from benchmarks.executed_plans import noted
from benchmarks.stored_tries import APPLICATION, Population, store_tries
from domain.decision import Policy
from domain.fraud import RuleSet, assess
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.entities import Subject
from domain.routing import Choice, Router
from models.accept_payment import accept_payment
from models.change import Change
from models.clock import Clock
from models.fraud.assessments import scored_before
from models.fraud.rule_sets import find_version
from models.idempotency import Caller
from models.request_bodies import ProcessPayment
from models.session import database_now, make_engine, transact
from models.tables import fraud_assessments, payments
from models.transition_locks import lock_attempt
from runtime import Runtime
from runtime.leases import LeaseKeeper
from tasks.payment_task import ACTOR
from tasks.screening import screener

HEAD = [
    "| stored tries | payments of | read and score, ms p50 | p99 | store, ms p50 | p99 | together, ms p50 | p99 |",
    "|---:|---|" + "---:|" * 6,
]
_CALLER, _CHOICE = Caller(APPLICATION, APPLICATION), (Choice("stripe", "preferred"),)
_WARM_UP = 40
_BATCH = 20
# Of twenty payments: those of users who are known, of new ones, and of guests with what thousands share.
_KNOWN, _NEW, _HOT = "known users", "new users", "guests at hot entities"
_MIX = (_KNOWN,) * 14 + (_NEW,) * 3 + (_HOT,) * 3
ALL = "all"


@dataclass
class Screened:
    """Seconds of the screened payments of one kind."""

    read: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)


class Bench:
    """A database with stored tries, and a process that screens payments."""

    def __init__(self, database_url: str, tries: int) -> None:
        self.engine = make_engine(database_url)
        self.population = Population(tries)
        clock = Clock(self.engine, timedelta)
        self.runtime = Runtime(
            engine=self.engine,
            clock=clock,
            gateways={},
            router=Router({}),
            policy=Policy(),
            leases=LeaseKeeper(self.engine, clock),
            publish=lambda _: None,
        )
        self.seconds: dict[str, Screened] = defaultdict(Screened)
        self._number = 0

    def store(self) -> float:
        """Store the tries; return the seconds that it took."""
        begun = time.monotonic()
        key = self.runtime.policy.fraud.keys[0]
        transact(self.engine, store_tries, self.population, key, self.runtime.clock.now())
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for command in ("SET statement_timeout = 0", "VACUUM (ANALYZE)", "RESET statement_timeout"):
                connection.execute(text(command))
        return time.monotonic() - begun

    def accept(self, count: int) -> Iterator[tuple[str, str]]:
        """Accept payments; yield of what kind each is, and its attempt."""
        numbers = range(self._number, self._number + count)
        self._number += count
        kinds = [_MIX[number % len(_MIX)] for number in numbers]
        subjects = [self._subject(kind, number) for kind, number in zip(kinds, numbers, strict=True)]
        yield from zip(kinds, transact(self.engine, _accept, subjects), strict=True)

    def _subject(self, kind: str, number: int) -> Subject:
        # No user twice, so that none looks like an attack.
        users = self.population.users
        if kind == _NEW:
            return self.population.subject(users + number)
        return self.population.subject(number * 104_729 % users, is_hot=kind == _HOT)

    def screen(self, kind: str, attempt_id: str) -> None:
        """Screen a payment as `payments.charge` does, and measure both parts."""
        begun = time.perf_counter()
        screen = screener(self.runtime, attempt_id)
        read_for = time.perf_counter() - begun
        if screen.evidence is None or screen.evidence.scored.values.get("user_first_payment", 0) != (kind == _NEW):
            raise AssertionError(f"bug: the history of {kind} is not read")
        now = self.runtime.clock.now()

        def claim(connection: Connection) -> float:
            change = Change(connection, now, self.runtime.policy, ACTOR)
            locked = lock_attempt(connection, attempt_id)
            begun = time.perf_counter()
            if screen(change, locked) is None:
                raise AssertionError(f"bug: a payment of {kind} is not charged")
            return time.perf_counter() - begun

        stored_for = transact(self.engine, claim)
        for name in (kind, ALL):
            self.seconds[name].read.append(read_for)
            self.seconds[name].store.append(stored_for)

    def lines(self) -> list[str]:
        """Return the lines of the table."""
        return [
            f"| {self.population.tries:,} | {kind} | "
            + " | ".join(f"{one:.2f} | {other:.2f}" for one, other in _figures(self.seconds[kind]))
            + " |"
            for kind in (*dict.fromkeys(_MIX), ALL)
        ]

    @property
    def p99(self) -> float:
        """Of both parts together, in milliseconds."""
        return list(_figures(self.seconds[ALL]))[-1][1]


def _figures(screened: Screened) -> Iterator[tuple[float, float]]:
    together = [read + store for read, store in zip(screened.read, screened.store, strict=True)]
    for seconds in (screened.read, screened.store, together):
        percentiles = quantiles((1000 * second for second in seconds), n=100, method="inclusive")
        yield percentiles[49], percentiles[98]


def measure(urls: tuple[str, str], tries: tuple[int, int], screened: int) -> list[str]:
    """Return the lines of the tables. `urls`: two migrated databases; `tries`: how many are stored in each."""
    benches = [Bench(url, many) for url, many in zip(urls, tries, strict=True)]
    lines = [f"{bench.population.tries:,} tries were stored in {bench.store():.0f} s" for bench in benches]
    for bench in benches:
        for kind, attempt_id in bench.accept(_WARM_UP):
            bench.screen(kind, attempt_id)
        bench.seconds.clear()
    for _ in range(screened // _BATCH):
        accepted = [list(bench.accept(_BATCH)) for bench in benches]
        for turn in zip(*accepted, strict=True):
            for bench, (kind, attempt_id) in zip(benches, turn, strict=True):
                bench.screen(kind, attempt_id)
    few, many = benches
    lines += ["", *HEAD, *few.lines(), *many.lines(), ""]
    lines.append(f"p99 with {tries[1]:,} tries: {many.p99:.2f} ms, {many.p99 / few.p99:.2f} × that with {tries[0]:,}")
    repeated = sum(repeat_scores(bench.engine) for bench in benches)
    lines += ["", *_statements(many), "", f"{repeated:,} stored decisions were repeated: the same scores and reasons"]
    for bench in benches:
        bench.engine.dispose()
    return lines


def _statements(bench: Bench) -> list[str]:
    """Return what one payment of guests at hot entities executes, and what the database reads for it."""
    hot = next(attempt_id for kind, attempt_id in bench.accept(_BATCH) if kind == _HOT)
    with noted(bench.engine) as statements:
        bench.screen(_HOT, hot)
    short = [" ".join(statement.split()[:3]) for statement in statements]
    return [f"{len(statements)} statements: {', '.join(short)}"]


def repeat_scores(engine: Engine) -> int:
    """Repeat all stored scores from their numbers; return how many. Raises AssertionError for one that differs."""
    every = select(fraud_assessments, payments.c.method, payments.c.currency).join(payments)
    with engine.connect() as connection:
        rows = connection.execute(every).all()
        rule_sets = {version: _rule_set(connection, version) for version in {row.rule_set for row in rows}}
    for row in rows:
        repeated = assess(rule_sets[row.rule_set], scored_before(row, row.method, row.currency))
        reasons = [asdict(reason) for reason in repeated.reasons]
        if (repeated.score, repeated.decision, reasons) != (row.score, row.decision, row.reasons):
            raise AssertionError(f"bug: the score of {row.payment_id} is another when it is repeated")
        if list(repeated.unavailable) != row.unavailable:
            raise AssertionError(f"bug: of {row.payment_id} something else is unavailable when it is repeated")
    return len(rows)


def _rule_set(connection: Connection, version: str) -> RuleSet:
    return DEFAULT_RULES if version == DEFAULT_RULES.version else find_version(connection, version)


def _accept(connection: Connection, subjects: Sequence[Subject]) -> list[str]:
    now = database_now(connection)
    requests = [_request(subject, now.timestamp(), place) for place, subject in enumerate(subjects)]
    accepted = [accept_payment(connection, request, _CALLER, None, now, _CHOICE) for request in requests]
    return [each.messages[0].row_id for each in accepted]


def _request(subject: Subject, at: float, place: int) -> ProcessPayment:
    return ProcessPayment.parse(
        {
            "invoice_id": f"inv_{place}_{at}",
            "user_id": subject.user,
            "amount": "30.00",
            "currency": "EUR",
            "payment_method": "credit_card",
            "payment_method_token": f"pm_{subject.card}",
            "email": subject.email,
            "ip_address": subject.ip,
            "device_fingerprint": subject.device,
            "card": {"fingerprint": subject.card, "bin": subject.bin},
            "billing_address": {"line1": subject.address},
        }
    )
