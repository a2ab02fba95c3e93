"""What an e-mail address tells by itself."""

from __future__ import annotations

import pytest

from runtime.email_addresses import email_facts


@pytest.mark.parametrize(
    ("email", "is_malformed", "is_disposable"),
    [
        (None, None, None),
        ("", None, None),
        ("  ", None, None),
        ("ada@example.com", False, False),
        (" Ada@Example.com ", False, False),
        ("ada@mailinator.com", False, True),
        ("ada@Sub.MAILINATOR.com", False, True),
        ("ada@mailinator.com.", True, True),
        ("ada@mailinator.com.example.com", False, False),
        ("ada lovelace@mailinator.com", True, True),
        ("ada@com", True, False),
        ("ada", True, False),
        ("@", True, False),
    ],
)
def test_an_address(email: str | None, is_malformed: bool | None, is_disposable: bool | None) -> None:
    assert email_facts(email) == (is_malformed, is_disposable)


@pytest.mark.parametrize("provider", ["gmail.com", "outlook.com", "yahoo.com", "gmx.de", "icloud.com", "proton.me"])
def test_addresses_that_people_keep_are_not_disposable(provider: str) -> None:
    assert email_facts(f"ada@{provider}") == (False, False)
