"""What a customer reads about a decline: one kind sentence for each reason and language. It never accuses, and never
says more than the customer's bank would tell them."""

from __future__ import annotations

from domain.declines.classes import DeclineReason

DEFAULT_LANGUAGE = "en"

_SENTENCES: dict[str, dict[DeclineReason, str]] = {
    "en": {
        DeclineReason.TECHNICAL: "Something went wrong on the way to your bank. It may work later, or another way.",
        DeclineReason.UNKNOWN: "Your bank did not accept the payment. Another payment method may work.",
        DeclineReason.BANK: "Your bank did not accept the payment. It can tell you why; another method may work.",
        DeclineReason.LIMIT: "A limit of your card or account was reached. It may work later, or by another method.",
        DeclineReason.FUNDS: "There was not enough money available for this payment. You can pay later or another way.",
        DeclineReason.ACTION: "The payment was not completed. Please try once more, or choose another payment method.",
        DeclineReason.AUTHENTICATION: "Your bank wants you to confirm this payment yourself. It takes a moment.",
        DeclineReason.DETAILS: "Some details of your payment method do not match. Please check and enter them again.",
        DeclineReason.EXPIRED: "Your card has expired. Please enter the details of the new one.",
        DeclineReason.REFUSED: "This payment could not be made this way. Please choose another payment method.",
        DeclineReason.STOPPED: "Your bank was asked not to make this payment. We do not try it again by ourselves.",
        DeclineReason.UNUSABLE: "The payment method that was used is not accepted here. Please choose another one.",
        DeclineReason.CLOSED: "The payment method that was used does not work any more. Please choose another one.",
        DeclineReason.RISK: "Please choose another payment method for this payment, or contact us.",
        DeclineReason.CONSENT: "The permission for these payments was withdrawn. We charge nothing more by ourselves.",
    },
    "de": {
        DeclineReason.TECHNICAL: "Auf dem Weg zu Ihrer Bank ist etwas schiefgegangen. Später klappt es "
        "vielleicht, oder mit einer anderen Zahlungsart.",
        DeclineReason.UNKNOWN: "Ihre Bank hat die Zahlung nicht angenommen. Vielleicht klappt eine andere Zahlungsart.",
        DeclineReason.BANK: "Ihre Bank hat die Zahlung nicht angenommen. Sie kann Ihnen mehr dazu sagen; eine andere "
        "Zahlungsart geht auch.",
        DeclineReason.LIMIT: "Ein Limit Ihrer Karte oder Ihres Kontos war erreicht. Später klappt es vielleicht, oder "
        "mit einer anderen Zahlungsart.",
        DeclineReason.FUNDS: "Für diese Zahlung war nicht genug Geld verfügbar. Sie können später oder auf anderem Weg "
        "zahlen.",
        DeclineReason.ACTION: "Die Zahlung wurde nicht abgeschlossen. Bitte versuchen Sie es noch einmal oder wählen "
        "Sie eine andere Zahlungsart.",
        DeclineReason.AUTHENTICATION: "Ihre Bank möchte, dass Sie diese Zahlung selbst bestätigen. Das dauert nur "
        "einen Moment.",
        DeclineReason.DETAILS: "Einige Angaben zu Ihrer Zahlungsart stimmen nicht. Bitte prüfen Sie sie und geben Sie "
        "sie noch einmal ein.",
        DeclineReason.EXPIRED: "Ihre Karte ist abgelaufen. Bitte geben Sie die Daten der neuen Karte ein.",
        DeclineReason.REFUSED: "Auf diesem Weg ging die Zahlung nicht. Bitte wählen Sie eine andere Zahlungsart.",
        DeclineReason.STOPPED: "Ihre Bank wurde gebeten, diese Zahlung nicht auszuführen. Wir versuchen sie deshalb "
        "nicht von selbst noch einmal.",
        DeclineReason.UNUSABLE: "Die verwendete Zahlungsart ist hier nicht möglich. Bitte wählen Sie eine andere.",
        DeclineReason.CLOSED: "Die verwendete Zahlungsart funktioniert nicht mehr. Bitte wählen Sie eine andere.",
        DeclineReason.RISK: "Bitte wählen Sie für diese Zahlung eine andere Zahlungsart, oder schreiben Sie uns.",
        DeclineReason.CONSENT: "Die Erlaubnis für diese Zahlungen wurde zurückgezogen. Wir buchen deshalb von selbst "
        "nichts mehr ab.",
    },
}
LANGUAGES = frozenset(_SENTENCES)


def sentence(reason: DeclineReason, language: str) -> str:
    """Return what the customer reads, in their language or else in English. Takes tags such as de-AT.

    >>> sentence(DeclineReason.EXPIRED, "de-AT")
    'Ihre Karte ist abgelaufen. Bitte geben Sie die Daten der neuen Karte ein.'
    >>> sentence(DeclineReason.EXPIRED, "fr") == sentence(DeclineReason.EXPIRED, "en")
    True
    """
    primary = language.replace("_", "-").partition("-")[0].lower()
    return _SENTENCES.get(primary, _SENTENCES[DEFAULT_LANGUAGE])[reason]
