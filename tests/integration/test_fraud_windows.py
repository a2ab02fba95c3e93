"""The windows of stored signals and those of a stream in memory are the same, so that a backtest scores as a charge.

What is stored under an older key is read until the key is dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select

from domain.decision import Policy
from domain.fraud import Scored, assess, values_of
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.entities import Entity, Subject, entities_of
from domain.fraud.facts import Facts
from domain.fraud.history_in_memory import HistoryInMemory, Try
from domain.fraud.windows import NEVER_SEEN, History, Window
from models.change import Change
from models.fraud.history import read_histories
from models.fraud.signals import Door, SignalKind, Tried, note_signal
from models.session import make_engine
from models.tables import fraud_counters, fraud_entities

START = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
# At and beside the ends of buckets and windows, up to forty days.
GAPS = (0, 1, 299, 300, 301, 900, 3_600, 40_000, 86_399, 86_400, 86_401, 6 * 86_400, 24 * 86_400, 40 * 86_400)
RESULTS = (SignalKind.DECLINED, SignalKind.ABANDONED, SignalKind.UNSENT, SignalKind.FRAUD)


@dataclass(frozen=True)
class Told:
    """Seconds after what was told before, a try; or what becomes of an earlier one, by its place."""

    gap: int
    subject: Subject
    amount: int | None = 0
    result: SignalKind | None = None
    of: int = 0


subjects = st.builds(
    Subject,
    user=st.sampled_from(["ada", "bob", "guest"]),
    card=st.none() | st.sampled_from(["c1", "c2", "c3", "c4"]),
    bin=st.none() | st.sampled_from(["424242", "555555"]),
    ip=st.none() | st.sampled_from(["203.0.113.9", "203.0.113.77", "198.51.100.1"]),
    device=st.none() | st.sampled_from(["d1", "d2"]),
    email=st.none() | st.sampled_from(["name1@example.com", "name2@example.com", "eve@example.com"]),
    address=st.none() | st.just("12 Main St"),
    shared=st.just({}) | st.just({"merchant_account": "m1"}),
)
told = st.builds(
    Told,
    st.sampled_from(GAPS),
    subjects,
    st.none() | st.integers(0, 200_000),
    st.none() | st.sampled_from(RESULTS),
    st.integers(0, 20),
)
streams = st.lists(told, min_size=1, max_size=16)


@dataclass(frozen=True)
class Tell:
    """A try that was told, as both have heard of it."""

    at: datetime
    values: dict[str, str]
    tried: Tried


class Both:
    """The stored signals and the stream in memory, which hear the same."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.memory = connection, HistoryInMemory()
        self.now, self.tries = START, list[Tell]()

    def tell(self, each: Told) -> None:
        """Tell both."""
        self.now += timedelta(seconds=each.gap, microseconds=each.gap % 7)
        if each.result is None or not self.tries:
            self._tell_try(each)
        else:
            self._tell_result(self.tries[each.of % len(self.tries)], each.result)

    def _tell_try(self, each: Told) -> None:
        attempt_id = f"at_{len(self.tries)}"
        tried = Tried("shop", Door.CHARGE, entities(each.subject), each.amount, attempt_id=attempt_id)
        assert note_signal(self._change(), SignalKind.TRY, tried)
        tell = Tell(self.now, each.subject.values(), tried)
        self.memory.count(tell.values, self.now, Try(each.amount or 0))
        self.tries.append(tell)

    def _tell_result(self, of: Tell, result: SignalKind) -> None:
        tried = Tried("shop", Door.CHARGE, of.tried.entities, of.tried.amount, attempt_id=of.tried.attempt_id,
                      tried_at=of.at)  # fmt: skip
        if not note_signal(self._change(), result, tried):
            return
        if result is SignalKind.FRAUD:
            self.memory.label(of.values, self.now)
        elif result is SignalKind.UNSENT:
            self.memory.take_back(of.values, of.at, Try(of.tried.amount or 0))
        else:
            self.memory.count_result(of.values, self.now, is_declined=result is SignalKind.DECLINED)

    def _change(self) -> Change:
        return Change(self.connection, self.now, Policy(), "test")

    def assert_agree_on(self, subject: Subject, amount: int | None) -> None:
        """Both know the same of a payment that would come now, and score it alike."""
        stored = read_histories(self.connection, entities(subject), self.now)
        in_memory = self.memory.before(subject.values(), self.now)
        assert stored == in_memory
        values = [values_of(facts(self.now, amount, history, subject)) for history in (stored, in_memory)]
        assert values[0] == values[1]
        first, second = (assess(DEFAULT_RULES, Scored(each, "credit_card", "EUR")) for each in values)
        assert first == second


def facts(now: datetime, amount: int | None, history: dict[str, History], subject: Subject) -> Facts:
    return Facts(
        now,
        amount,
        limit=100_000,
        method="credit_card",
        history=history,
        shared_kinds=tuple(subject.shared),
        is_shared_account=subject.user == "guest",
    )


def entities(subject: Subject, keys: Sequence[str] = ("key",)) -> tuple[Entity, ...]:
    return entities_of(subject, "shop", keys)


def assert_same_windows(engine: Engine, stream: list[Told]) -> None:
    """Feed a stream to both and compare them before each payment and after the last."""
    with engine.connect() as connection:
        both = Both(connection)
        for each in stream:
            both.tell(each)
            both.assert_agree_on(each.subject, each.amount)
        for subject in {id(each.subject): each.subject for each in stream}.values():
            both.now += timedelta(hours=5)
            both.assert_agree_on(subject, 1_000)
        connection.rollback()


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    engine = make_engine(sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


def test_windows_in_sqlite_are_those_of_a_stream(sqlite_engine: Engine) -> None:
    @given(streams)
    @settings(derandomize=True)
    def agree(stream: list[Told]) -> None:
        assert_same_windows(sqlite_engine, stream)

    agree()


@pytest.mark.postgres
def test_windows_in_postgresql_are_those_of_a_stream(engine: Engine) -> None:
    @given(streams)
    @settings(derandomize=True, max_examples=20)
    def agree(stream: list[Told]) -> None:
        assert_same_windows(engine, stream)

    agree()


def test_a_try_that_was_not_sent_is_taken_back_from_when_it_was_counted(sqlite_engine: Engine) -> None:
    ada = Subject(user="ada", card="c1")
    with sqlite_engine.connect() as connection:
        both = Both(connection)
        both.tell(Told(0, ada, 5_000))
        both.tell(Told(1_200, ada, result=SignalKind.UNSENT))
        known = read_histories(connection, entities(ada), both.now)
        assert [known["user"].within(window).tries for window in Window] == [0] * len(Window)
        assert [known["card"].within(window).amount for window in Window] == [0] * len(Window)


def test_a_new_key_is_written_and_the_older_one_still_read_until_it_is_dropped(sqlite_engine: Engine) -> None:
    ada = Subject(user="ada", card="c1", device="d1")
    with sqlite_engine.connect() as connection:
        change = Change(connection, START, Policy(), "test")

        def note(number: int, keys: Sequence[str]) -> None:
            about = {"amount": 1_000, "attempt_id": f"at_{number}"}
            note_signal(change, SignalKind.TRY, Tried("shop", Door.CHARGE, entities(ada, keys), **about))

        def known(*keys: str) -> History:
            return read_histories(connection, entities(ada, keys), START)["user"]

        note(1, ["old"])
        note(2, ["old"])
        before = [written(connection, key) for key in ("old", "new")]
        note(3, ["new", "old"])
        assert (before, written(connection, "old"), written(connection, "new")) == ([2, 0], 2, 1)
        rotating = known("new", "old")
        assert (rotating.within(Window.DAY).tries, rotating.within(Window.MONTH).amount) == (3, 3_000)
        assert known("new").within(Window.DAY).tries == 1
        # What was stored under it stays until retention deletes it, and is nobody's any more.
        assert known("another") == NEVER_SEEN
        assert connection.scalar(select(func.count()).select_from(fraud_entities)) == 6


def test_a_link_under_two_keys_is_one_link(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as connection:
        change = Change(connection, START, Policy(), "test")
        for number, (card, keys) in enumerate([("c1", ["old"]), ("c2", ["old"]), ("c2", ["new", "old"])]):
            shown = entities(Subject(device="d1", card=card), keys)
            note_signal(change, SignalKind.TRY, Tried("shop", Door.CHARGE, shown, attempt_id=f"at_{number}"))
        known = read_histories(connection, entities(Subject(device="d1", card="c2"), ["new", "old"]), START)
        assert known["device"].linked["card", Window.DAY] == 2


def written(connection: Connection, key: str) -> int:
    """Return how many tries of the user are counted under a key."""
    [user] = entities_of(Subject(user="ada"), "shop", [key])
    is_of_user = (fraud_counters.c.entity == user.hash) & (fraud_counters.c.size == 300)
    return connection.scalar(select(func.coalesce(func.sum(fraud_counters.c.tries), 0)).where(is_of_user)) or 0
