"""Flower, started as an operator starts it, shows the worker, its queues and the tasks, and no personal data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from stack.process import free_port
from tests.acceptance.harness import HTTP_SECONDS, READY_SECONDS, Deployment, eventually, payment_body, unique
from tests.integration.test_celery_setup import QUEUES
from tests.patience import patient

pytestmark = [pytest.mark.postgres, pytest.mark.redis]
USER = ("operator", "let-me-see")


class Flower:
    """The pages of a running Flower."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, auth=USER, timeout=HTTP_SECONDS)

    def is_up(self) -> bool:
        try:
            return self.get("/workers").ok
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def flower(running_deployment: Deployment) -> Iterator[Flower]:
    """Flower against the broker of the running deployment."""
    port = free_port()
    process = running_deployment.celery_process("flower", "flower", f"--port={port}", f"--basic-auth={':'.join(USER)}")
    flower = Flower(port)
    process.wait_for(flower.is_up, "Flower's page of workers", patient(READY_SECONDS))
    yield flower
    process.kill()


def test_flower_lists_the_worker_its_queues_and_the_tasks(deployment: Deployment, flower: Flower) -> None:
    worker = f"{deployment.prefix}worker@"
    eventually(lambda: worker in flower.get("/workers").text, "the worker on Flower's page")
    email = f"{unique('canary')}@example.org"
    payment = deployment.merchant.pay(payment_body(email=email))
    attempt_id = payment["attempts"][0]["id"]
    wanted = {"payments.charge", "payments.sweep"}
    eventually(lambda: attempt_id in flower.get("/api/tasks").text and wanted <= _names(flower), "tasks in Flower")
    tasks = flower.get("/api/tasks")
    assert "canary" not in tasks.text
    assert flower.get("/tasks").status_code == 200
    eventually(
        lambda: {f"{deployment.prefix}{name}" for name in QUEUES} <= _queues(flower, worker), "the queues in Flower"
    )
    assert flower.get("/broker").status_code == 200


def test_flower_asks_for_a_password(flower: Flower) -> None:
    assert requests.get(f"{flower.url}/api/workers", timeout=HTTP_SECONDS).status_code == 401


def _queues(flower: Flower, worker: str) -> set[str]:
    response = flower.get("/api/workers?refresh=1")
    assert response.status_code == 200
    [shown] = [about for name, about in response.json().items() if name.startswith(worker)]
    return {queue["name"] for queue in shown.get("active_queues", [])}


def _names(flower: Flower) -> set[str]:
    return {task["name"] for task in flower.get("/api/tasks").json().values()}
