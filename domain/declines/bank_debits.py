"""Return codes of bank debits: ACH, SEPA and Bacs."""

from __future__ import annotations

from domain.declines.classes import DeclineReason, merged, rows

ACH_NETWORK, SEPA_NETWORK, BACS_NETWORK = "ach", "sepa", "bacs"
NETWORKS = frozenset({ACH_NETWORK, SEPA_NETWORK, BACS_NETWORK})

ACH = rows(
    "Nacha return codes: ntrs.com ACH return reason codes, apidocs.paynearme.com ach-return-codes",
    "2026-11-28",
    {
        DeclineReason.FUNDS: "R01 R09",
        DeclineReason.TECHNICAL: "R18 R19 R21 R22 R25 R26 R27 R28 R32",
        DeclineReason.REFUSED: "R06 R11 R17 R24 R31",
        DeclineReason.UNUSABLE: "R05 R10 R16 R20 R29",
        DeclineReason.CLOSED: "R02 R03 R04 R12 R13 R14 R15",
        # A stopped payment may be collected again only with a new authorization.
        DeclineReason.CONSENT: "R07 R08",
    },
)
SEPA = rows(
    "SEPA reason codes: documentation.lemonway.com sepa-error-codes, docs.adyen.com sepa-chargebacks",
    "2026-11-28",
    {
        DeclineReason.FUNDS: "AM04",
        DeclineReason.BANK: "MS03",
        DeclineReason.TECHNICAL: "ED05",
        DeclineReason.REFUSED: "AM05 BE05",
        DeclineReason.STOPPED: "MS02",
        DeclineReason.UNUSABLE: "AC06 AC13 AG01 AG02 CNOR DNOR MD06 RR04 SL01",
        DeclineReason.CLOSED: "AC01 AC04 MD07",
        DeclineReason.CONSENT: "MD01",
    },
)
BACS = rows(
    "Bacs unpaid debit codes: movimo.co.uk, cleardirectdebit.co.uk (0); the others from memory, not read again",
    "2026-11-28",
    {
        DeclineReason.FUNDS: "0",
        DeclineReason.REFUSED: "4 7 8 9 A",
        DeclineReason.CLOSED: "2 3 5 B",
        DeclineReason.CONSENT: "1 6",
    },
)
CODES = merged(ACH, SEPA, BACS)
