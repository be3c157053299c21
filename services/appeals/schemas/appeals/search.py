"""Schemas of search results."""

from typing import Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.search.suggestions import SuggestionKind

SearchedTextKind = TypeAliasType("SearchedTextKind", Literal["message", "reply", "note"])


class Fragment(BaseModel):
    """A part of an extract."""

    text: str = Field(examples=["дорогу"])
    found: bool = Field(description="A word that was searched for: show it marked", examples=[True])


class Highlight(BaseModel):
    """An extract, of at most 300 characters, of a text that has words of the search; personal data is masked."""

    kind: SearchedTextKind = Field(description="What kind of text it is")
    fragments: list[Fragment] = Field(description="Its parts in order; joined they are the extract")


class SearchSuggestion(BaseModel):
    """The name of a location or topic that completes a search."""

    kind: SuggestionKind = Field(description="`locality`: a part of a town; `landmark`: a known building or site")
    name: str = Field(examples=["Бабушкина"])
    municipality: str | None = Field(
        description="Of a location; null for a topic, and for a name that is in several municipalities",
        examples=["город Улан-Удэ"],
    )


class SearchSuggestions(BaseModel):
    """At most ten suggestions, best match first."""

    items: list[SearchSuggestion]
