"""The real worker and the real web process mask secrets in whatever they log, from the first line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sandbox.server import RunningSandbox
from stack.credentials import sandbox_credentials
from stack.process import ROOT

CANARY = "sk_test_canary1234"
LINK = "pl_WyJzaG9wIl0.canary_-x"
LOG = f"import logging; logging.getLogger('celeriac').warning('key {CANARY} of jo@example.org')"
PROCESSES = {
    # What `celery worker` does before it starts to work.
    "worker": f"from worker.celery import app; app.log.setup('INFO'); {LOG}",
    "tasks": f"from celery.utils.log import get_task_logger; from worker.celery import app; app.log.setup('INFO'); "
    f"get_task_logger('celeriac').warning('key {CANARY} of jo@example.org')",
    # What gunicorn imports.
    "web": f"import worker.wsgi; {LOG}",
    # Its access log, whose handlers gunicorn makes before it imports the application.
    "access log": "import logging; access = logging.getLogger('gunicorn.access'); access.propagate = False; "
    "access.addHandler(logging.StreamHandler()); access.setLevel('INFO'); import worker.wsgi; "
    f"access.info('key {CANARY} of {LINK}')",
}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_masks_secrets_in_its_log(process: str, sqlite_url: str) -> None:
    with RunningSandbox() as sandbox:
        settings = {
            "DATABASE_URL": sqlite_url,
            "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
            "PYTHONPATH": str(ROOT),
            **sandbox_credentials(sandbox.url, "http://127.0.0.1:9", "whsec_canary"),
        }
        command = [sys.executable, "-P", "-c", PROCESSES[process]]
        result = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=True
        )
    written = result.stdout + result.stderr
    assert "key [masked] of [masked]" in written
    assert CANARY not in written
    assert "WyJzaG9wIl0" not in written
