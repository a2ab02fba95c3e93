"""One line about the account at Stripe for an operator. It shows no key and no personal data."""

from __future__ import annotations

from gateways.provider_model import ProviderModel, Text, Word


class Account(ProviderModel):
    """The account that a key belongs to."""

    id: Text
    charges_enabled: bool | None = None


class WebhookEndpoint(ProviderModel):
    """An address to which Stripe sends events."""

    status: Word = None


class EndpointPage(ProviderModel):
    """The first page of the account's webhook endpoints."""

    data: list[WebhookEndpoint]


def describe(account: Account | None, endpoints: EndpointPage | None, *, is_live: bool) -> str:
    """Return what an accepted key can see; None stands for what it may not read.

    >>> on, off = EndpointPage(data=[WebhookEndpoint(status="enabled")]), EndpointPage(data=[])
    >>> describe(Account(id="acct_1", charges_enabled=True), on, is_live=False)
    'credentials accepted (test mode, account acct_1); 1 webhook endpoint'
    >>> describe(Account(id="acct_1", charges_enabled=False), off, is_live=True)
    'credentials accepted (live mode, account acct_1, charges not enabled); 0 webhook endpoints'
    >>> describe(None, None, is_live=True)
    'credentials accepted (live mode, restricted key); webhook endpoints cannot be read with it'
    """
    facts = ["live mode" if is_live else "test mode"]
    facts.append("restricted key" if account is None else f"account {account.id}")
    if account is not None and account.charges_enabled is False:
        facts.append("charges not enabled")
    return f"credentials accepted ({', '.join(facts)}); {_endpoints(endpoints)}"


def _endpoints(endpoints: EndpointPage | None) -> str:
    if endpoints is None:
        return "webhook endpoints cannot be read with it"
    count = sum(1 for endpoint in endpoints.data if endpoint.status == "enabled")
    return f"{count} webhook endpoint{'' if count == 1 else 's'}"
