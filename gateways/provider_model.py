"""The base of the small models into which providers' responses are parsed, once, before anything is decided on them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
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
# A word that only explains. What is no text is dropped: the rest of the object must not become unreadable by it. A word
# that no table has says nothing, and is logged by `ProviderModel.log_unknown`.
ExplainingWord = Annotated[
    str | None, WordMark(), BeforeValidator(lambda value: value if isinstance(value, str) else None)
]
# Seconds since 1970, to the end of the year 9999: beyond it, as for milliseconds, no datetime can be made.
UnixTime = Annotated[int, Field(ge=0, le=253_402_300_799)]


def from_unix(seconds: int | None) -> datetime | None:
    """Return a time of `UnixTime`; None where there is none.

    >>> str(from_unix(0)), from_unix(None)
    ('1970-01-01 00:00:00+00:00', None)
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def instant_of(value: object) -> datetime | None:
    """Read an ISO 8601 instant, in UTC if it names no zone; None for anything else.

    >>> [str(instant_of(value)) for value in ("2026-11-28T12:00:00Z", "soon", 0, "9999-12-31T23:00:00-14:00")]
    ['2026-11-28 12:00:00+00:00', 'None', 'None', 'None']
    """
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        if instant is None:
            return None
        # In UTC at once: a zone may lie beyond the first or the last year, which the database would refuse.
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


# When a page, a token or an order ends, or a time that no document requires. It decides nothing, so a value that cannot
# be read is dropped: the rest of the object must not become unreadable by it.
End = Annotated[datetime | None, BeforeValidator(instant_of)]


def newest(times: Iterable[datetime | None]) -> datetime | None:
    """Return when the last of several parts moved; None if a part shows no time, since it may be the last.

    >>> early, late = datetime(2026, 11, 28), datetime(2026, 11, 29)
    >>> newest([early, late]) == late, newest([early, None]), newest([])
    (True, None, None)
    """
    shown = list(times)
    known = [at for at in shown if at is not None]
    return max(known) if known and len(known) == len(shown) else None


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
