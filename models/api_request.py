"""The base of all request bodies: validated before anything is stored, and known again when it is sent once more."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.card_number import contains_card_number, keys_of, names_security_code, strings_of
from domain.errors import CardNumberRefused, InvalidRequest
from domain.money import canonical_amount


class ApiRequest(BaseModel):
    """A validated request without unknown fields. Only `parse` creates one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # The fields that `older_fingerprint` does not know.
    NEWER: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """Validate a decoded JSON value. Raises InvalidRequest with a sentence for each field, never with values."""
        if not isinstance(raw, dict):
            raise InvalidRequest("the body must be a JSON object")
        if any(names_security_code(key) for key in keys_of(raw)):
            raise CardNumberRefused("the request holds a card security code; it must never be sent here")
        for text in strings_of(raw):
            if "\x00" in text:
                raise InvalidRequest("a text holds a NUL byte; remove it")
            if contains_card_number(text):
                raise CardNumberRefused(
                    "the request holds what looks like a card number; send the provider's token instead"
                )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            sentences = dict.fromkeys(_sentence(dict(detail)) for detail in error.errors())
            raise InvalidRequest("; ".join(sentences)) from None

    def fingerprint(self, operation: str) -> str:
        """Return the hash that tells a repeat of this request from another request with the same Idempotency-Key.

        Of what was sent only: a field that a later release adds changes no earlier request. It is stored and compared
        for as long as keys are, so it never changes."""
        sent = self.model_dump(exclude_unset=True, exclude_none=True)
        if "amount" in sent:
            sent["amount"] = canonical_amount(sent["amount"])
        if "billing_address" in sent:
            sent["billing_address"] = {name: part for name, part in sent["billing_address"].items() if part is not None}
        return _hash(operation, sent)

    def older_fingerprint(self, operation: str) -> str:
        """Return the hash in the form of earlier releases: of every field with its default, amounts as written."""
        unknown = {name for name in self.NEWER if getattr(self, name) is None}
        return _hash(operation, self.model_dump(mode="json", exclude=unknown))


def _hash(operation: str, fields: dict[str, Any]) -> str:
    canonical = json.dumps([operation, fields], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# Our sentence for each kind of error that pydantic words for programmers; `{}` names the bound that was broken.
_SENTENCES = {
    "extra_forbidden": "unknown field",
    "missing": "required",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "has characters or a form that are not allowed here",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
    "too_long": "must have at most {max_length} entries",
}


def _sentence(detail: dict[str, Any]) -> str:
    """Return one error as `field: what is wrong`, without any value."""
    if not detail["loc"]:
        return str(detail["msg"]).removeprefix("Value error, ")
    # A list says in which of its entries; what the sender has made up is not repeated below the first name.
    is_known = detail["loc"][0] in ("backup_methods", "card") and detail["type"] != "extra_forbidden"
    field = ".".join(str(part) for part in detail["loc"][: 4 if is_known else 1])[:100]
    if field == "metadata" and len(detail["loc"]) > 1:
        return f"{field}: each value must be a text of at most 500 characters, true, false, a whole number or null"
    known = _SENTENCES.get(detail["type"])
    if known is not None:
        return f"{field}: {known.format(**detail.get('ctx', {}))}"
    return f"{field}: {detail['msg'].removeprefix('Value error, ')}"
