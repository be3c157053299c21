"""Finding an organisation by whatever it is called."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.registry.api.common import COMMON, Reader
from services.registry.organisations import search
from services.registry.schemas.names import Found, FoundList
from shared.service import Reading

router = APIRouter(prefix="/organisations/search", tags=["organisations"], responses=COMMON)

Asked = Annotated[
    str,
    Query(
        min_length=1,
        max_length=200,
        description="Any name it has or had, abbreviated or misspelt, words in any order",
        examples=["сош 71 улан-уде"],
    ),
]


@router.get("", summary="Find an organisation by any of its names")
async def search_organisations(
    session: Reading,
    _caller: Reader,
    q: Asked,
    limit: Annotated[int, Query(ge=1, le=50, description="How many, 50 at most")] = 10,
    active: bool | None = None,
) -> FoundList:
    """The best first. Case, ё/е, abbreviations, word order and misspellings do not matter; numbers do."""
    hits = await search.search(session, q, limit=limit, active=active)
    return FoundList(
        items=[
            Found(
                id=hit.organisation.id,
                code=hit.organisation.code,
                name=hit.organisation.name,
                kind=hit.organisation.kind,
                municipality=hit.organisation.municipality,
                active=hit.organisation.active,
                found_by=hit.name,
                found_by_kind=hit.name_kind,
                score=hit.score,
            )
            for hit in hits
        ]
    )
