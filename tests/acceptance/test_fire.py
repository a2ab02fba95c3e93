"""The campaign of deaths, small: beats and workers die, the broker loses everything, and nothing happens twice.

`python3 dev.py fire` is the whole of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from stack.process import ROOT
from tests.patience import patient

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(600)]
# One step of each task on the way from a sweep to a mail; tests/acceptance/test_kill_points.py has all of them.
STEPS = ("dunning.swept", "change.committed", "charge.responded", "mail.accepted")


@pytest.mark.rabbitmq
def test_each_try_mail_and_end_of_grace_happens_once(fresh_postgres_url: str, amqp_url: str) -> None:
    campaign = ["-m", "stack.fire", "--use-environment", "--debts", "6", "--days", "8", "--rounds", "1"]
    environment = {**os.environ, "DATABASE_URL": fresh_postgres_url, "CELERY_BROKER_URL": amqp_url}
    done = subprocess.run(
        [sys.executable, *campaign, *(word for step in STEPS for word in ("--at", step))],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patient(400),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = r"through (\d+) deaths: each try, mail and end of grace happened exactly once, and the books are equal"
    found = re.search(wanted, done.stdout)
    assert found is not None, done.stdout
    # Which worker meets a step is chance; that some die is not.
    assert int(found[1]) >= 3, done.stdout
