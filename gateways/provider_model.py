"""The base of the small models into which providers' responses are parsed, once, before anything is decided on them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from domain.outcome import InDoubt
from gateways.failures import MalformedResponse, reason_word

_log = logging.getLogger(__name__)

# An identifier: a text that is not empty.
Text = Annotated[str, StringConstraints(min_length=1)]


@dataclass(frozen=True, slots=True)
class WordMark:
    """Marks a field that is compared with a table of words. Tests find these fields by it."""


# A status or another word of a closed table. Null and missing pass as None: they are words that no table has, as a new
# word is, and must not make the rest of the object unreadable. What no table has is `ProviderModel.in_doubt`.
Word = Annotated[str | None, WordMark()]
# Seconds since 1970, to the end of the year 9999: beyond it, as for milliseconds, no datetime can be made.
UnixTime = Annotated[int, Field(ge=0, le=253_402_300_799)]


def from_unix(seconds: int | None) -> datetime | None:
    """Return a time of `UnixTime`; None where there is none.

    >>> str(from_unix(0)), from_unix(None)
    ('1970-01-01 00:00:00+00:00', None)
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _end(value: object) -> datetime | None:
    """Read an ISO 8601 instant, in UTC if it names no zone; None for anything else.

    >>> [str(_end(value)) for value in ("2026-11-28T12:00:00Z", "soon", 0)]
    ['2026-11-28 12:00:00+00:00', 'None', 'None']
    """
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return instant if instant is None or instant.tzinfo else instant.replace(tzinfo=UTC)


# When a page, a token or an order ends. It only plans look-ups, so a value that cannot be read is dropped: the rest of
# the object must not become unreadable by it.
End = Annotated[datetime | None, BeforeValidator(_end)]


class ProviderModel(BaseModel):
    """The fields that are read of one provider object; all others are ignored.

    Types are strict, so that "12" never passes for 12. Only wire forms are checked here. Each reader has its table of
    words, and ends with `in_doubt` for a word that is not in it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return the model of a decoded JSON value. Raises MalformedResponse, which names the first wrong field."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            raise MalformedResponse(".".join([cls.__name__, *map(str, first["loc"])])) from None

    def in_doubt(self, field: str, reference: str | None = None) -> InDoubt:
        """Return doubt about a field whose word no table has: a new one, null, or none. The log names the field."""
        self.log_unknown(field)
        return InDoubt(f"unknown_{field}", reference)

    def log_unknown(self, field: str) -> None:
        """Log that the word of a field is in no table. A value that is not one short word stays out of the log."""
        name = f"{type(self).__name__}.{type(self).model_fields[field].alias or field}"
        _log.error("unknown word of a provider: %s is %s", name, self._shown(field))

    def _shown(self, field: str) -> str:
        if getattr(self, field) is None:
            return "null" if field in self.model_fields_set else "missing"
        return reason_word(getattr(self, field), "no short word")
