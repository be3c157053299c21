"""Who am I."""

from fastapi import APIRouter

from services.registry.schemas.access import Me, MyOrganisation, MyPerson
from shared.access import CallerDep
from shared.problems import Unauthenticated, responses
from shared.service import Reading
from shared.tables.registry import Organisation

router = APIRouter(tags=["access"])


@router.get("/me", summary="The caller: person, organisation, rights", responses=responses(Unauthenticated))
async def me(session: Reading, caller: CallerDep) -> Me:
    """What the token says of its bearer, and what their role allows; organisation null means the centre."""
    organisation = None
    if caller.organisation_id is not None:
        found = await session.get(Organisation, caller.organisation_id)
        if found is None:
            raise Unauthenticated("The organisation of this token does not exist")
        organisation = MyOrganisation(id=found.id, name=found.name, short_name=found.short_name)
    return Me(
        person=MyPerson(id=caller.subject, name=caller.name, role=caller.role),
        organisation=organisation,
        beneath=caller.beneath,
        rights=sorted(caller.rights),
    )
