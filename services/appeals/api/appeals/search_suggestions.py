"""Route of search suggestions: names that complete what a user types."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.appeals.api.dependencies import READ_PROBLEMS, Reader
from services.appeals.field_types import StorableText
from services.appeals.schemas.appeals.search import SearchSuggestion, SearchSuggestions
from services.appeals.search.suggestions import suggest
from shared.api.query_parameters import refuse_unknown_parameters
from shared.http import problems
from shared.service import ReadTransaction

router = APIRouter(tags=["appeals"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get(
    "/appeals/suggestions",
    responses=problems.responses(*READ_PROBLEMS),
    summary="Complete what is typed in a search",
)
async def list_search_suggestions(
    session: ReadTransaction,
    caller: Reader,
    q: Annotated[StorableText, Query(min_length=1, max_length=200, examples=["бабу"])],
) -> SearchSuggestions:
    """Return at most ten names of locations and topics that begin with the typed words or contain them. Send the
    chosen name as `q` of the list. Organisations have their own search: `GET /organisations/search`.
    """
    return SearchSuggestions(
        items=[
            SearchSuggestion(kind=one.kind, name=one.name, municipality=one.municipality)
            for one in await suggest(session, q)
        ]
    )
