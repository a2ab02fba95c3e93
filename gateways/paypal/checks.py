"""What PayPal shows of the checks of a card: address and security code.

Source: avs_code and cvv_code of processor_response, Orders v2 and Payments v2, read 2026-11-29. It only explains: an
unknown code is logged and says nothing."""

from __future__ import annotations

from domain.check_results import Check, CheckResults
from gateways.paypal.responses import Refusable

# A part that is said not to match is a mismatch; of B and P only one part was checked.
_AVS: dict[str | None, Check | None] = {
    **dict.fromkeys(("B", "D", "F", "M", "P", "Y", "0"), Check.MATCH),
    **dict.fromkeys(("A", "C", "N", "W", "Z", "1", "2"), Check.MISMATCH),
    **dict.fromkeys(("G", "I", "R", "S", "U", "Null", "3", "4", None)),
}
# These mean something else for American Express; nothing, where the network is not shown.
_AVS_OF_AMEX: dict[str | None, Check | None] = {"E": Check.MATCH, "X": Check.MISMATCH}
_AVS_OF_OTHERS: dict[str | None, Check | None] = {"E": None, "X": Check.MATCH}
_CVV: dict[str | None, Check | None] = {
    **dict.fromkeys(("M", "0"), Check.MATCH),
    **dict.fromkeys(("N", "1"), Check.MISMATCH),
    **dict.fromkeys(("E", "I", "P", "S", "U", "X", "All others", "2", "3", "4", None)),
}


def checks_of(*shown: Refusable | None) -> CheckResults | None:
    """Return what was checked of the card, by the first of these authorizations and captures that shows a processor's
    response; None where none does."""
    for each in shown:
        if each is not None and each.processor_response is not None:
            return CheckResults(_avs(each), _cvv(each))
    return None


def _avs(shown: Refusable) -> Check | None:
    response, network = shown.processor_response, shown.network_transaction_reference
    if response is None:
        return None
    if response.avs_code in _AVS:
        return _AVS[response.avs_code]
    if response.avs_code not in _AVS_OF_AMEX:
        response.log_unknown("avs_code")
        return None
    if network is None or network.network is None:
        return None
    return (_AVS_OF_AMEX if network.network == "AMEX" else _AVS_OF_OTHERS)[response.avs_code]


def _cvv(shown: Refusable) -> Check | None:
    response = shown.processor_response
    if response is None:
        return None
    if response.cvv_code not in _CVV:
        response.log_unknown("cvv_code")
    return _CVV.get(response.cvv_code)
