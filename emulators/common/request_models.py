"""Forms of what the control door takes, common to its parts."""

import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _reference(value: object) -> object:
    # Clients hold ids of VK as numbers and ids of OK as text; inside they are text.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


Reference = Annotated[str, BeforeValidator(_reference), Field(min_length=1, max_length=400)]


class RequestBody(BaseModel):
    """A JSON object without unknown names and without text that no network could hold."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: object) -> object:
        # JSON can spell half of a surrogate pair, which no network and no database can hold.
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("holds a lone surrogate, which is no text") from None
        return data


class PageProfileIn(RequestBody):
    """What a page shows of itself; what is left out stays as it is, an empty text takes it away."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    screen_name: str | None = Field(default=None, min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_.]*$")
    description: str | None = None
    verified: bool | None = None
    avatar: bool | None = None
    cover: bool | None = None
    phone: str | None = Field(default=None, max_length=100)
    address: str | None = Field(default=None, max_length=300)
    site: str | None = Field(default=None, max_length=300)
