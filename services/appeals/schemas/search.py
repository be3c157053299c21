"""Schemas of what a search has found."""

from typing import Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

SearchedTextKind = TypeAliasType("SearchedTextKind", Literal["message", "reply", "note"])


class Fragment(BaseModel):
    """A part of an extract."""

    text: str = Field(examples=["дорогу"])
    found: bool = Field(description="A word that was searched for: show it marked", examples=[True])


class Highlight(BaseModel):
    """An extract of a text that has words of the search, of at most 300 characters, personal data masked."""

    kind: SearchedTextKind = Field(description="Where it stands")
    fragments: list[Fragment] = Field(description="Its parts in order; joined they are the extract")
