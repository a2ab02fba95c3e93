"""What the page of a debt says, in each language, and how it writes amounts and methods."""

from __future__ import annotations

from domain import wording
from domain.money import decimal_text

# The first one is shown to a browser that asks for none of them.
LANGUAGES = {"en": "English", "de": "Deutsch"}

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Pay {amount}",
        "reference": "Reference {invoice}",
        "due": "Due on {day}",
        "refused": "The last payment did not go through, and nothing was charged for it.",
        "choose_anew": "Please choose how to pay.",
        "choose": "How do you want to pay?",
        "none_chosen": "Please choose one of the ways to pay.",
        "impossible": "This way of paying is not possible here. Nothing was charged. Please choose another one.",
        "no_way": "No way to pay online is available at the moment. Please contact the sender of this link.",
        "expires": "valid until {month}/{year}",
        "pay": "Pay {amount} now",
        "add": "Pay with another card or method",
        "add_first": "Continue to payment",
        "default": "A saved card or method that you pay this with is also used for your later payments to this sender.",
        "save": "Keep the new card or method for my later payments to this sender",
        "leave": "Choose another way to pay",
        "front_end": "Enter your payment details",
        "front_end_note": "What you enter goes straight to the payment provider.",
        "front_end_loading": "The payment form is loading.",
        "needs_script": "This payment form needs JavaScript. Please switch it on, or choose another way to pay.",
        "test_form": "Go on to the test form",
        "confirmation_title": "Please confirm your payment",
        "confirmation": "Your bank or payment provider asks you to confirm the payment of {amount}. You come back here "
        "afterwards.",
        "confirm": "Continue to confirmation",
        "transfer_title": "A payment is already open",
        "transfer": "You have chosen to pay {amount} by bank transfer or by invoice. If you have sent the money, there "
        "is nothing more to do. Choose another way only if you have not.",
        "under_way_title": "Your payment is being processed",
        "under_way": "Please do not pay again. This page renews itself and tells you when the payment is done.",
        "under_way_long": "Please do not pay again. This takes longer than usual, and you may close this window. To "
        "see how your payment stands, load this page again later.",
        "reload": "Load again",
        "paid_title": "Paid. Thank you!",
        "paid": "Nothing is left to pay here. You can close this window.",
        "canceled_title": "Nothing to pay",
        "canceled": "This was canceled, so that nothing can be paid here any more. If you think that this is wrong, "
        "please contact the sender of this link.",
        "unknown_title": "This link does not work",
        "unknown": "Perhaps a part of it is missing. Please open it from the message again, or copy all of it. If it "
        "still does not work, ask the sender for a new one. Nothing was charged.",
        "expired_title": "This link has expired",
        "expired": "For your safety, links to a payment end after some time. Please open the newest message that you "
        "have got, or ask the sender for a new link. Nothing was charged.",
        "form_title": "Please try once more",
        "form": "Your click did not come from this page, so that we have done nothing. Please open the page again.",
        "open_again": "Open the page again",
        "unavailable_title": "Please try again in a few minutes",
        "unavailable": "We cannot reach the payment provider at the moment. If you have just paid, do not worry: you "
        "are not charged twice.",
        "returned_title": "Thank you",
        "returned": "You can close this window. To see how your payment stands, open the link in your message again.",
        "card_title": "Store a new card",
        "card_expires": "Your card {card} expires at the end of {expires}. If you have a new one, store it here. "
        "Nothing is charged now.",
        "card_agreed": "The new card is kept by the payment provider and used for your later payments to this sender.",
        "card_add": "Enter a new card",
        "card_save": "Store the card",
        "card_needs_script": "This form needs JavaScript. Please switch it on.",
        "method_saved_title": "Your new card is stored",
        "method_saved": "It is used for your next payment. You can close this window.",
        "method_unsaved_title": "No card was stored",
        "method_unsaved": "The card was not accepted, or your bank has not confirmed it. Nothing was charged. Please "
        "try again, or use another card.",
        "unsubscribe_title": "Reminders about your cards",
        "unsubscribe": "We remind you before a stored card expires. Do you want no such reminders any more?",
        "unsubscribed_title": "You get no more reminders",
        "unsubscribed": "We do not remind you of expiring cards any more. Messages about open payments still come.",
        "reminders_stop": "Send me no more reminders",
        "reminders_again": "Remind me again",
        "safe": "You pay once only, even if you open this page twice.",
    },
    "de": {
        "title": "{amount} bezahlen",
        "reference": "Referenz {invoice}",
        "due": "Fällig am {day}",
        "refused": "Die letzte Zahlung hat nicht geklappt; dafür wurde nichts abgebucht.",
        "choose_anew": "Bitte wählen Sie, wie Sie bezahlen möchten.",
        "choose": "Wie möchten Sie bezahlen?",
        "none_chosen": "Bitte wählen Sie eine der Zahlungsarten.",
        "impossible": "So kann hier nicht bezahlt werden. Es wurde nichts abgebucht. Bitte wählen Sie eine andere "
        "Zahlungsart.",
        "no_way": "Zurzeit ist hier keine Online-Zahlung möglich. Bitte wenden Sie sich an den Absender dieses Links.",
        "expires": "gültig bis {month}/{year}",
        "pay": "Jetzt {amount} bezahlen",
        "add": "Mit anderer Karte oder Zahlungsart bezahlen",
        "add_first": "Weiter zur Zahlung",
        "default": "Eine hinterlegte Karte oder Zahlungsart, mit der Sie dies bezahlen, wird auch für Ihre späteren "
        "Zahlungen an diesen Absender verwendet.",
        "save": "Die neue Karte oder Zahlungsart für spätere Zahlungen an diesen Absender aufbewahren",
        "leave": "Andere Zahlungsart wählen",
        "front_end": "Geben Sie Ihre Zahlungsdaten ein",
        "front_end_note": "Ihre Eingaben gehen direkt an den Zahlungsanbieter.",
        "front_end_loading": "Das Zahlungsformular wird geladen.",
        "needs_script": "Dieses Zahlungsformular braucht JavaScript. Bitte schalten Sie es ein oder wählen Sie eine "
        "andere Zahlungsart.",
        "test_form": "Weiter zum Testformular",
        "confirmation_title": "Bitte bestätigen Sie Ihre Zahlung",
        "confirmation": "Ihre Bank oder Ihr Zahlungsanbieter bittet Sie, die Zahlung von {amount} zu bestätigen. "
        "Danach kommen Sie hierher zurück.",
        "confirm": "Weiter zur Bestätigung",
        "transfer_title": "Eine Zahlung ist schon offen",
        "transfer": "Sie haben sich entschieden, {amount} per Überweisung oder auf Rechnung zu bezahlen. Wenn Sie das "
        "Geld überwiesen haben, ist nichts mehr zu tun. Wählen Sie nur dann eine andere Zahlungsart, wenn nicht.",
        "under_way_title": "Ihre Zahlung wird bearbeitet",
        "under_way": "Bitte bezahlen Sie nicht noch einmal. Diese Seite lädt sich neu und sagt Ihnen, wenn die Zahlung "
        "fertig ist.",
        "under_way_long": "Bitte bezahlen Sie nicht noch einmal. Es dauert länger als sonst, und Sie können dieses "
        "Fenster schließen. Wie es um die Zahlung steht, sehen Sie, wenn Sie diese Seite später neu laden.",
        "reload": "Neu laden",
        "paid_title": "Bezahlt. Vielen Dank!",
        "paid": "Hier ist nichts mehr zu bezahlen. Sie können dieses Fenster schließen.",
        "canceled_title": "Nichts zu bezahlen",
        "canceled": "Dies wurde storniert; hier kann nichts mehr bezahlt werden. Wenn Sie meinen, dass das nicht "
        "stimmt, wenden Sie sich bitte an den Absender dieses Links.",
        "unknown_title": "Dieser Link funktioniert nicht",
        "unknown": "Vielleicht fehlt ein Teil. Bitte öffnen Sie ihn noch einmal aus der Nachricht, oder kopieren Sie "
        "ihn ganz. Wenn es dann nicht geht, bitten Sie den Absender um einen neuen. Es wurde nichts abgebucht.",
        "expired_title": "Dieser Link ist abgelaufen",
        "expired": "Zu Ihrer Sicherheit gelten Links zu einer Zahlung nur eine Zeit lang. Bitte öffnen Sie die neueste "
        "Nachricht, die Sie bekommen haben, oder bitten Sie den Absender um einen neuen Link. Es wurde nichts "
        "abgebucht.",
        "form_title": "Bitte versuchen Sie es noch einmal",
        "form": "Ihr Klick kam nicht von dieser Seite; deshalb haben wir nichts getan. Bitte öffnen Sie die Seite neu.",
        "open_again": "Seite neu öffnen",
        "unavailable_title": "Bitte versuchen Sie es in einigen Minuten noch einmal",
        "unavailable": "Wir erreichen den Zahlungsanbieter gerade nicht. Wenn Sie eben bezahlt haben: Es wird nicht "
        "doppelt abgebucht.",
        "returned_title": "Vielen Dank",
        "returned": "Sie können dieses Fenster schließen. Wie es um die Zahlung steht, sehen Sie, wenn Sie den Link in "
        "Ihrer Nachricht noch einmal öffnen.",
        "card_title": "Neue Karte hinterlegen",
        "card_expires": "Ihre Karte {card} läuft Ende {expires} ab. Wenn Sie eine neue haben, hinterlegen Sie sie "
        "hier. Dabei wird nichts abgebucht.",
        "card_agreed": "Der Zahlungsanbieter bewahrt die neue Karte auf; sie wird für Ihre späteren Zahlungen an "
        "diesen Absender verwendet.",
        "card_add": "Neue Karte eingeben",
        "card_save": "Karte hinterlegen",
        "card_needs_script": "Dieses Formular braucht JavaScript. Bitte schalten Sie es ein.",
        "method_saved_title": "Ihre neue Karte ist hinterlegt",
        "method_saved": "Sie wird für die nächste Zahlung verwendet. Sie können dieses Fenster schließen.",
        "method_unsaved_title": "Es wurde keine Karte hinterlegt",
        "method_unsaved": "Die Karte wurde nicht angenommen, oder Ihre Bank hat sie nicht bestätigt. Es wurde nichts "
        "abgebucht. Bitte versuchen Sie es noch einmal, oder nehmen Sie eine andere Karte.",
        "unsubscribe_title": "Erinnerungen an Ihre Karten",
        "unsubscribe": "Wir erinnern Sie, bevor eine hinterlegte Karte abläuft. Möchten Sie keine solchen Erinnerungen "
        "mehr?",
        "unsubscribed_title": "Sie bekommen keine Erinnerungen mehr",
        "unsubscribed": "Wir erinnern Sie nicht mehr an ablaufende Karten. Nachrichten über offene Zahlungen kommen "
        "weiterhin.",
        "reminders_stop": "Keine Erinnerungen mehr senden",
        "reminders_again": "Wieder erinnern",
        "safe": "Sie bezahlen nur einmal, auch wenn Sie diese Seite zweimal öffnen.",
    },
}


def amount_text(language: str, minor: int, currency: str) -> str:
    """Return an amount as people of the language write it, in one piece.

    >>> amount_text("en", 123000, "EUR"), amount_text("de", 1230, "EUR")
    ('1,230.00\\xa0EUR', '12,30\\xa0EUR')
    """
    return wording.amount_text(decimal_text(minor, currency), currency, language).replace(" ", "\xa0")


def method_text(language: str, kind: str, brand: str | None, last4: str | None, expires: str | None) -> str:
    """Return how a saved method is called. `expires`: as 2030-12.

    >>> method_text("en", "credit_card", "visa", "4242", "2030-07")
    'Visa ending in 4242, valid until 07/2030'
    >>> method_text("de", "paypal", None, None, None)
    'PayPal'
    """
    name = wording.method_text(language, kind, brand, last4)
    if expires is None:
        return name
    year, _, month = expires.partition("-")
    return f"{name}, {TEXTS[language]['expires'].format(month=month, year=year)}"
