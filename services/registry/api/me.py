"""Route of the caller's own identity."""

from fastapi import APIRouter

from services.registry.access import people
from services.registry.schemas.sessions import CallerKind, CallerOrganisation, CallerPerson, Me
from shared import clock
from shared.auth.callers import CallerDep
from shared.http.problems import Forbidden, Unauthenticated, responses
from shared.service import ReadTransaction
from shared.tables.registry import Organisation

router = APIRouter(tags=["access"])


@router.get(
    "/me", summary="The caller: person, organisation, rights", responses=responses(Unauthenticated, Forbidden)
)
async def get_me(session: ReadTransaction, caller: CallerDep) -> Me:
    """Return the caller's identity and rights; `organisation` is null for the centre."""
    organisation = None
    if caller.organisation_id is not None:
        organisation_row = await session.get(Organisation, caller.organisation_id)
        if organisation_row is None:
            raise Unauthenticated("The organisation of this token does not exist")
        organisation = CallerOrganisation.model_validate(organisation_row, from_attributes=True)
    person = await people.find_by_token(session, caller)
    return Me(
        person=CallerPerson(
            id=caller.subject,
            name=caller.name,
            role=caller.role,
            kind=CallerKind.CLIENT if person is None else CallerKind.PERSON,
            username=None if person is None else person.username,
            last_sign_in_at=None if person is None else person.last_sign_in_at,
        ),
        organisation=organisation,
        include_subordinates=caller.include_subordinates,
        rights=sorted(caller.rights),
        # In a client's token, `session_id` is the id of its secret.
        session_id=None if person is None else caller.session_id,
        time_zone=clock.REGION_TIME_ZONE.key,
    )
