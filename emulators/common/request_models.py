"""Request models shared by the parts of the control API."""

import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _reference(value: object) -> object:
    # Clients send VK ids as numbers and OK ids as text; the control API uses text for both.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


Reference = Annotated[str, BeforeValidator(_reference), Field(min_length=1, max_length=400)]


class RequestBody(BaseModel):
    """A JSON object without unknown fields and without text that no network can store."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: object) -> object:
        # JSON can contain a lone surrogate, which no network and no database can store.
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("contains a lone surrogate, which is not valid text") from None
        return data


class PageProfileIn(RequestBody):
    """A page's profile. Omitted fields stay unchanged; an empty description, phone, address or site is removed."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    screen_name: str | None = Field(default=None, min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_.]*$")
    description: str | None = None
    verified: bool | None = None
    avatar: bool | None = None
    cover: bool | None = None
    phone: str | None = Field(default=None, max_length=100)
    address: str | None = Field(default=None, max_length=300)
    site: str | None = Field(default=None, max_length=300)
