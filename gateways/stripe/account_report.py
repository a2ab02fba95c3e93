"""One line about our Stripe account for an operator. It shows no key and no personal data."""

from __future__ import annotations

from typing import Any

from gateways.stripe.next_actions import field


def describe(account: Any, endpoints: Any, *, is_live: bool) -> str:
    """Return what a key that was accepted can see; None stands for what it may not read.

    >>> describe({"id": "acct_1", "charges_enabled": True}, {"data": [{"status": "enabled"}]}, is_live=False)
    'credentials accepted (test mode, account acct_1); 1 webhook endpoint'
    >>> describe({"id": "acct_1", "charges_enabled": False}, {"data": []}, is_live=True)
    'credentials accepted (live mode, account acct_1, charges not enabled); 0 webhook endpoints'
    >>> describe(None, None, is_live=True)
    'credentials accepted (live mode, restricted key); webhook endpoints cannot be read with it'
    """
    facts = ["live mode" if is_live else "test mode"]
    facts.append("restricted key" if account is None else f"account {field(account, 'id')}")
    if field(account, "charges_enabled") is False:
        facts.append("charges not enabled")
    return f"credentials accepted ({', '.join(facts)}); {_endpoints(endpoints)}"


def _endpoints(endpoints: Any) -> str:
    if endpoints is None:
        return "webhook endpoints cannot be read with it"
    count = sum(1 for endpoint in field(endpoints, "data") or () if field(endpoint, "status") == "enabled")
    return f"{count} webhook endpoint{'' if count == 1 else 's'}"
