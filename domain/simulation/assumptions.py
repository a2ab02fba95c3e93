"""What the model of customers assumes: every number, with the grade and the source that it has.

Grade A: an operator's, author's or statistical office's own publication. B: a vendor's own data with some description
of the sample. C: secondary, attributed, or marketing. Ours: nobody has published it; it is chosen so that the model
recovers as the sources with a grade say. docs/fraud-and-dunning.md has the table for readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from domain.declines.bank_debits import ACH_NETWORK, SEPA_NETWORK
from domain.declines.classes import DeclineReason
from domain.declines.networks import MASTERCARD, VISA
from domain.dunning.mail import Mail

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Country:
    """A country of customers. `zone`: its time zone, by its name. `network`, `method`: of its bank debits, if it has
    some that are charged here."""

    code: str
    currency: str
    zone: str
    network: str | None = None
    method: str | None = None


# The shares of countries, of debits, of networks and of prices are ours.
COUNTRIES: tuple[tuple[int, Country], ...] = (
    (45, Country("US", "USD", "America/New_York", ACH_NETWORK, "ach_debit")),
    (20, Country("DE", "EUR", "Europe/Berlin", SEPA_NETWORK, "sepa_debit")),
    (11, Country("FR", "EUR", "Europe/Paris", SEPA_NETWORK, "sepa_debit")),
    (8, Country("ES", "EUR", "Europe/Madrid", SEPA_NETWORK, "sepa_debit")),
    (16, Country("GB", "GBP", "Europe/London")),
)
DEBIT_SHARE = 0.05
NETWORKS: tuple[tuple[int, str], ...] = ((58, VISA), (37, MASTERCARD), (5, "amex"))
AMOUNTS: tuple[tuple[int, int], ...] = ((30, 990), (30, 1990), (20, 4900), (12, 9900), (8, 29900))


class Failure(NamedTuple):
    """Why a payment fails first: Stripe's decline code; for a debit its error code, and the code of the scheme."""

    code: str
    by_network: Mapping[str, str] = {}


# 38 % lack of money, 24 % expired, 17 % blocked by the bank, 21 % technical (dunningcompare.com, grade C: attributed,
# and not verifiable). How the 17 and the 21 are made up is ours.
CARD_MIX: tuple[tuple[float, Failure], ...] = (
    (38, Failure("insufficient_funds")),
    (24, Failure("expired_card")),
    (8, Failure("do_not_honor")),
    (1.5, Failure("card_velocity_exceeded")),
    (2, Failure("authentication_required")),
    (2.5, Failure("lost_card")),
    (1, Failure("transaction_not_allowed")),
    (0.8, Failure("revocation_of_authorization")),
    (0.7, Failure("fraudulent")),
    (0.5, Failure("code_of_no_table")),
    (21, Failure("issuer_not_available")),
)
# Ours: lack of money is most of it.
DEBIT_MIX: tuple[tuple[float, Failure], ...] = (
    (80, Failure("insufficient_funds", {ACH_NETWORK: "R01", SEPA_NETWORK: "AM04"})),
    (15, Failure("account_closed", {ACH_NETWORK: "R02", SEPA_NETWORK: "AC04"})),
    (5, Failure("debit_not_authorized", {ACH_NETWORK: "R07", SEPA_NETWORK: "MD01"})),
)
# Of the technical failures: those in which the provider itself is down, so that no issuer is asked. Ours.
OUTAGE_SHARE = 0.1
# A debit is decided by its bank so much later. A: Stripe and GoCardless name two to five business days.
DEBIT_TAKES = timedelta(days=3)
# Mastercard advises to wait with 24 to 30 beside a lack of money (A); how often it does is ours.
ADVISED_SHARE = 0.3
ADVICE: tuple[tuple[int, str], ...] = ((30, "25"), (25, "26"), (20, "27"), (10, "28"), (10, "29"), (5, "30"))

# --- Money. Pay periods of the USA: Bureau of Labor Statistics, TED of 5 June 2014 (A). All else here is ours.
WEEKLY, BIWEEKLY, SEMIMONTHLY, MONTHLY = "weekly", "biweekly", "semimonthly", "monthly"
PAY_PERIODS: Mapping[str, tuple[tuple[int, str], ...]] = {
    "US": ((32, WEEKLY), (37, BIWEEKLY), (20, SEMIMONTHLY), (11, MONTHLY)),
}
# The day of the month on which a monthly pay comes; 31: the last day.
PAY_DAYS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "US": ((60, 1), (40, 15)),
    "GB": ((45, 28), (35, 31), (20, 25)),
}
OTHER_PAY_DAYS: tuple[tuple[int, int], ...] = ((40, 31), (25, 1), (15, 15), (20, 25))
PAID_AT_HOUR = 4
# Who lacks money for good; how often a payday brings enough, and for how long it lasts on the average.
NEVER_FUNDED = 0.27
COVERING = 0.8
LASTS = 7 * _DAY
# Money from elsewhere: how long until it comes, on the average, and how long it lasts.
OTHER_MONEY_AFTER, OTHER_MONEY_LASTS = 5 * _DAY, 3 * _DAY


class Lifted(NamedTuple):
    """What an issuer or a limit lets pass by itself later: for which share of the customers, and how soon on the
    average."""

    share: float
    after: timedelta


# Ours. Temporary holds are over within 15 days (Recurly, B).
LIFTED: Mapping[DeclineReason, Lifted] = {
    DeclineReason.TECHNICAL: Lifted(0.98, 0.6 * _HOUR),
    DeclineReason.LIMIT: Lifted(0.95, 1.5 * _DAY),
    DeclineReason.BANK: Lifted(0.6, 2 * _DAY),
    DeclineReason.UNKNOWN: Lifted(0.4, 3 * _DAY),
}
# The networks' updaters and tokens give the new number of a card. A fifth of what is recovered comes so (Recurly, A);
# shares and times are ours.
RENEWED: Mapping[DeclineReason, Lifted] = {
    DeclineReason.EXPIRED: Lifted(0.4, 2 * _DAY),
    DeclineReason.CLOSED: Lifted(0.2, 6 * _DAY),
}

# --- Customers. A mail on the day of the failure is followed by a payment in 13 % (churnward.com, C); 60 % of all
# recoveries are retries (Churn Buster, B). The rest is ours. A share is of those who would still react to anything: who
# has not reacted to a friendly mail may react to an urgent one, and nobody is asked twice with the same result.
REACTING: Mapping[Mail, float] = {
    Mail.FIRST_FAILURE: 0.13,
    Mail.MID_DUNNING: 0.2,
    Mail.FINAL_ATTEMPT: 0.3,
    Mail.METHOD_UPDATE: 0.3,
}
# Who has no money on one card has seldom some on another.
REACTING_WITHOUT_MONEY = 0.4
# A mail also reminds somebody of what they do not use any more, and they end the subscription: of each mail that asks
# for money. Ours; vendors send no mail in the first days for this reason (Churn Buster, B).
LEAVING = 0.02
# They pay so long after the mail, on the average.
REACTION_TAKES = 1.5 * _DAY
# Some see in the application that they owe something, and pay unasked: the share, and after how long on the average.
PAYING_UNASKED, UNASKED_AFTER = 0.04, 10 * _DAY
# They have left, or did not make the payment: no mail makes them pay.
UNWILLING = frozenset({DeclineReason.CONSENT, DeclineReason.STOPPED, DeclineReason.RISK})
# How long recovery is watched after a first failure, as reports of recovery do.
HORIZON = 28 * _DAY
