"""Workers and beats that die and are started again: at failpoints, in an order that a seed decides, and at random."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType

from stack.process import Process

FAILPOINT = "CELERIAC_FAILPOINT"
# The steps from a sweep to the end of a try and its mail, and of the look-ups and the webhooks that come of them.
STEPS = (
    *("sweep.marked", "dunning.swept", "change.committed"),
    *("charge.claimed", "charge.created", "charge.reference_saved", "charge.responded", "charge.recorded"),
    *("reconcile.claimed", "reconcile.looked_up", "reconcile.recorded"),
    "webhook.applied",
    *("mail.claimed", "mail.begun", "mail.accepted", "mail.sent"),
)
_CHECK_SECONDS = 0.25
# Between two deaths at random; a worker needs some seconds until it works again.
_PAUSE_SECONDS = (5.0, 12.0)


@dataclass
class _Member:
    """A process, and the failpoint at which it is to die."""

    process: Process
    may_be_armed: bool
    point: str | None = None


class Fire:
    """Kills workers and beats, and starts what has ended, from entering the context until leaving it.

    Each of `rounds` has the failpoints at which workers are to die from `begin_round` on. The last worker is never
    armed, so that work gets done. `deaths`: how often which failpoint has killed, and how often chance a worker or a
    beat."""

    def __init__(
        self, workers: list[Process], beats: list[Process], rounds: list[list[str]], rng: random.Random
    ) -> None:
        self._members = [_Member(each, may_be_armed=each is not workers[-1]) for each in workers]
        self._members += [_Member(each, may_be_armed=False) for each in beats]
        self._workers = len(workers)
        self._rounds = list(rounds)
        # What of the rounds that have begun no worker is armed with.
        self._plan: list[str] = []
        self._rng = rng
        self.deaths: Counter[str] = Counter()
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fire", daemon=True)
        self._next_death_at = float("inf")

    @property
    def processes(self) -> list[Process]:
        """The workers, then the beats."""
        return [member.process for member in self._members]

    def begin_round(self) -> None:
        """Let workers die at the failpoints of the next round too, if there is one; failpoints that none has reached
        so far are left."""
        with self._lock:
            if not self._rounds:
                return
            self._plan += self._rounds.pop(0)
            for member in self._members:
                if member.may_be_armed and member.point is None:
                    self._restart(member)

    def cease(self) -> None:
        """Kill nothing any more; whatever is armed is started anew without it."""
        with self._lock:
            self._plan.clear()
            for member in self._members:
                if member.point is not None:
                    member.point = None
                    self._restart(member)

    def _watch(self) -> None:
        while not self._is_over.wait(_CHECK_SECONDS):
            with self._lock:
                for member in self._members:
                    if not member.process.is_running():
                        self._count(member)
                        self._restart(member)
                if time.monotonic() >= self._next_death_at and self._has_plan:
                    self._kill_at_random()

    @property
    def _has_plan(self) -> bool:
        return bool(self._plan) or any(member.point is not None for member in self._members)

    def _count(self, member: _Member) -> None:
        code = member.process.exit_code()
        if member.point is not None and code == -signal.SIGKILL:
            self.deaths[member.point] += 1
            member.point = None
        else:
            tail = member.process.log_tail()
            self.problems.append(f"{member.process.name} ended by itself with the exit code {code}\n{tail}")

    def _kill_at_random(self) -> None:
        number = self._rng.randrange(len(self._members))
        self.deaths["random: worker" if number < self._workers else "random: beat"] += 1
        self._restart(self._members[number])
        self._plan_next_death()

    def _plan_next_death(self) -> None:
        self._next_death_at = time.monotonic() + self._rng.uniform(*_PAUSE_SECONDS)

    def _restart(self, member: _Member) -> None:
        """Kill a process if it runs, and start it for its next failpoint. One that it has not reached comes later."""
        process = member.process
        process.kill()
        if member.point is not None:
            self._plan.append(member.point)
        member.point = self._plan.pop(0) if member.may_be_armed and self._plan else None
        clean = {name: value for name, value in (process.env or {}).items() if name != FAILPOINT}
        process.env = clean | ({FAILPOINT: member.point} if member.point is not None else {})
        process.start()

    def __enter__(self) -> Fire:
        self.begin_round()
        for member in self._members:
            if not member.process.is_running():
                self._restart(member)
        self._plan_next_death()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        for process in self.processes:
            process.kill()
