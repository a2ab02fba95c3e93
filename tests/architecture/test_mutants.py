"""Each planted bug still fits its file and names tests that exist. `dev.py mutants` plants them."""

from __future__ import annotations

from collections import Counter

from stack.planted_bugs import planted_bugs, problems

from .source import LAYERS

# Of a list that shrinks, nobody sees what is missing.
FEWEST = 250
PROVIDERS = ("stripe", "paypal", "klarna", "afterpay", "coinbase", "coinbase_commerce")

# The kinds of bugs that once were planted and that no test saw. Each has several in the file.
UNSEEN = {
    "amount",  # exponents and steps of refunds, captures, under- and overpayments
    "idempotency key",  # of a refund or a capture, that changes on a retry
    "large amount",  # above 2^53 minor units
    "lease",  # a worker that is paused between storing the reference and confirming
    "locked row",  # that holds up a sweep
    "ownership",  # another application's objects
    "sum",  # that leaves out what is pending at the bank
    "two places",  # a rule that stands in both, so that neither is tested alone
    "webhook",  # an applied event that is worked again
    "wiring",  # of the real worker and the real web process
}
SEVERAL = 3


def test_every_planted_bug_fits_its_file_and_names_its_tests() -> None:
    assert list(problems(planted_bugs())) == []


def test_every_room_and_every_provider_has_planted_bugs() -> None:
    bugs = planted_bugs()
    assert len(bugs) >= FEWEST
    rooms = {bug.file.split("/")[0] for bug in bugs}
    assert set(LAYERS) - {"notifications"} <= rooms
    assert [name for name in PROVIDERS if not any(bug.file.startswith(f"gateways/{name}/") for bug in bugs)] == []


def test_every_kind_that_was_once_unseen_is_planted_several_times() -> None:
    planted = Counter(bug.kind for bug in planted_bugs())
    assert {kind: planted[kind] for kind in UNSEEN if planted[kind] < SEVERAL} == {}
