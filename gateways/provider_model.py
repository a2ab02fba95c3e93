"""The base of the small models into which providers' responses are parsed, once, before anything is decided on them."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gateways.failures import MalformedResponse

# An identifier or a status: a text that is not empty.
Text = Annotated[str, StringConstraints(min_length=1)]
# Seconds since 1970, to the end of the year 9999: beyond it, as for milliseconds, no datetime can be made.
UnixTime = Annotated[int, Field(ge=0, le=253_402_300_799)]


class ProviderModel(BaseModel):
    """The fields that are read of one provider object; all others are ignored.

    Types are strict, so that "12" never passes for 12. Only wire forms are checked here; words that are not in a
    provider's table are doubt, and the reader of the model decides that."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return the model of a decoded JSON value. Raises MalformedResponse, which names the first wrong field."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            raise MalformedResponse(".".join([cls.__name__, *map(str, first["loc"])])) from None
