"""Windows of a stream in memory: the same counts as a recount of everything that came before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.fraud.history_in_memory import HistoryInMemory, Try
from domain.fraud.windows import LINKS, MOST_LINKED, NEVER_SEEN, Counts, History, Window, bucket_of

START = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
KINDS = ("user", "card", "device", "ip", "merchant_account")


@dataclass(frozen=True)
class Told:
    """A try, or a label where `tried` is None."""

    at: datetime
    entities: dict[str, str]
    tried: Try | None


entities = st.dictionaries(st.sampled_from(KINDS), st.sampled_from("abc"), min_size=1)
tries = st.builds(Try, st.integers(0, 50_000), st.booleans(), st.booleans())
# Gaps at which buckets and windows begin and end.
gaps = st.sampled_from([0, 1, 299, 300, 301, 3_600, 40_000, 86_399, 86_400, 86_401, 6 * 86_400, 24 * 86_400])


@st.composite
def streams(draw: st.DrawFn) -> list[Told]:
    at, told = START, []
    for gap, of, tried in draw(st.lists(st.tuples(gaps, entities, st.none() | tries), max_size=25)):
        at += timedelta(seconds=gap, microseconds=gap % 7)
        told.append(Told(at, of, tried))
    return told


@given(streams(), entities, gaps)
def test_windows_are_what_a_recount_gives(told: list[Told], asked: dict[str, str], gap: int) -> None:
    history = HistoryInMemory()
    for place, each in enumerate(told):
        assert_equal(history, told[:place], each.entities, each.at)
        if each.tried is None:
            history.label(each.entities, each.at)
        else:
            history.count(each.entities, each.at, each.tried)
    now = (told[-1].at if told else START) + timedelta(seconds=gap)
    assert_equal(history, told, asked, now)


def assert_equal(history: HistoryInMemory, told: list[Told], asked: dict[str, str], now: datetime) -> None:
    found = history.before(asked, now)
    assert found.keys() == asked.keys()
    for kind, value in asked.items():
        of_it = [each for each in told if each.entities.get(kind) == value]
        expected = recount(of_it, kind, now)
        shown = found[kind]
        assert {window: shown.within(window) for window in Window} == expected.counts
        assert {key: count for key, count in shown.linked.items() if count} == expected.linked
        assert (shown.first_at, shown.last_at, shown.last_fraud_at) == (
            expected.first_at,
            expected.last_at,
            expected.last_fraud_at,
        )


def recount(told: list[Told], kind: str, now: datetime) -> History:
    tried = [each for each in told if each.tried is not None]
    labels = [each.at for each in told if each.tried is None]
    return History(
        {window: sum((counts_of(each) for each in told if is_in(each.at, window, now)), Counts()) for window in Window},
        {
            (other, window): count
            for of, other, window in LINKS
            if of == kind and (count := linked(tried, other, window, now))
        },
        tried[0].at if tried else None,
        tried[-1].at if tried else None,
        labels[-1] if labels else None,
    )


def is_in(at: datetime, window: Window, now: datetime) -> bool:
    return bucket_of(at, window.bucket_size) >= window.first_bucket(now)


def counts_of(each: Told) -> Counts:
    tried = each.tried
    if tried is None:
        return Counts(frauds=1)
    return Counts(1, int(tried.is_declined), int(tried.is_abandoned), tried.amount)


def linked(tried: list[Told], other: str, window: Window, now: datetime) -> int:
    return len({each.entities[other] for each in tried if other in each.entities and is_in(each.at, window, now)})


def test_more_links_than_are_worth_counting_are_capped() -> None:
    history = HistoryInMemory()
    for number in range(MOST_LINKED + 10):
        history.count({"device": "d", "card": f"c{number}"}, START, Try(100))
    assert history.before({"device": "d"}, START)["device"].linked["card", Window.DAY] == MOST_LINKED


def test_what_was_never_seen_has_no_history_and_is_not_remembered_for_asking() -> None:
    history = HistoryInMemory()
    assert history.before({"user": "ada"}, START) == {"user": NEVER_SEEN}
    assert history.before({"user": "ada"}, START) == {"user": NEVER_SEEN}


def test_who_was_seen_again_is_linked_longer_than_who_was_not() -> None:
    history = HistoryInMemory()
    for hour, card in ((0, "c1"), (1, "c2"), (20, "c1")):
        history.count({"device": "d", "card": card}, START + timedelta(hours=hour), Try(100))
    linked = history.before({"device": "d"}, START + timedelta(hours=30))["device"].linked
    assert linked["card", Window.DAY] == 1


def test_a_long_history_forgets_what_no_window_reads() -> None:
    history, now, seen = HistoryInMemory(), START, []
    for day in range(200):
        now = START + timedelta(days=day)
        counts = history.before({"user": "ada"}, now)["user"]
        seen.append([counts.within(window).tries for window in (Window.DAY, Window.WEEK, Window.MONTH)])
        history.count({"user": "ada"}, now, Try(100))
    assert seen == [[min(day, most) for most in (1, 7, 30)] for day in range(200)]
