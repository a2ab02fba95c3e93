"""Names: what applications call their invoices, subscriptions and users. Two applications may use the same name."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import AmbiguousName


def application_meant(owners: Sequence[str]) -> str | None:
    """Return whose object a name means if nobody says so: the only owner's. None if no application has one.

    >>> application_meant(["shop"]), application_meant([])
    ('shop', None)
    >>> application_meant(["shop", "school"])
    Traceback (most recent call last):
    ...
    domain.errors.AmbiguousName: several applications use this name: school, shop; say whose is meant (`application`)
    """
    if len(owners) <= 1:
        return next(iter(owners), None)
    applications = sorted(owners)
    raise AmbiguousName(
        f"several applications use this name: {', '.join(applications)}; say whose is meant (`application`)",
        applications=applications,
    )
