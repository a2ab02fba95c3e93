"""Failpoints: named places where a test kills the process. An unarmed one costs a call of an empty function.

`CELERIAC_FAILPOINT=charge.claimed` kills the process, as kill -9 would, when it reaches that point."""

from __future__ import annotations

import os
import signal

# Every place between one commit or call and the next step that relies on it. A test kills a real process at each of
# them, and another test fails if one of them is reached by no test.
POINTS = frozenset(
    {
        "accept.committed",
        "charge.claimed",
        "charge.created",
        "charge.reference_saved",
        "charge.responded",
        "charge.recorded",
        "operation.claimed",
        "operation.responded",
        "operation.recorded",
        "webhook.stored",
        "webhook.looked_up",
        "webhook.applied",
        "reconcile.claimed",
        "reconcile.looked_up",
        "reconcile.recorded",
        "sweep.marked",
        "dunning.swept",
        "change.committed",
        "mail.claimed",
        "mail.begun",
        "mail.accepted",
        "mail.sent",
    }
)


def _pass(name: str) -> None:
    """Do nothing: no failpoint is armed."""


def _kill(name: str) -> None:
    if name not in POINTS:
        raise LookupError(f"bug: failpoint {name} is not in POINTS")
    if name == os.environ["CELERIAC_FAILPOINT"]:
        os.kill(os.getpid(), signal.SIGKILL)


reach = _kill if os.environ.get("CELERIAC_FAILPOINT") else _pass
