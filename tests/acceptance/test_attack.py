"""A small attack on a running system: cards are tested among customers, at two of its doors."""

from __future__ import annotations

import pytest

from stack.attack import KNOWN_AFTER_HOURS
from stack.attack_round import Field, Plan, play
from stack.client import Merchant
from stack.client import Provider as BackOffice
from tests.acceptance.harness import API, SECRET_KEY
from tests.conftest import OpenDeployment

pytestmark = pytest.mark.acceptance


def test_strangers_are_refused_and_customers_pay(
    open_deployment: OpenDeployment, merchant_template: tuple[str, str]
) -> None:
    plan = Plan(strangers=16, customers=6, most=4, seed=1, known=2)
    settings = {"PAYMENT_VELOCITY_CHECK_ENABLED": "true", "FRAUD_MOST_STRANGERS": "4"}
    with open_deployment(**settings) as deployment:
        deployment.start_sandbox().worker()
        deployment.beat()
        deployment.web()
        api, key, sandbox = deployment.web_url + API, merchant_template[1], deployment.provider.url
        field = Field(api, key, Merchant(api, key), BackOffice(sandbox, SECRET_KEY), sandbox)
        field.make_known(plan.known * 4, KNOWN_AFTER_HOURS)
        rounds = [play(field, plan, "process", "ip"), play(field, plan, "intent", "ip")]
        assert [problem for each in rounds for problem in each.problems(plan)] == []
        assert field.provider.mails() == []
