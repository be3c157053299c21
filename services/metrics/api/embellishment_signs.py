"""The route of signs that figures may be embellished."""

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select

from services.metrics.api.metrics import COMMON_ERRORS, PeriodFrom, PeriodTo, statement_timeout
from services.metrics.fairness.gaming_queries import read_gaming_signs
from services.metrics.indicators.period import parse_period
from services.metrics.schemas.embellishment_signs import EmbellishmentSign, EmbellishmentSigns
from shared import clock
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.clock import REGION_TIME_ZONE
from shared.service import ReadTransaction
from shared.tables.registry import Organisation

router = APIRouter(prefix="/metrics", tags=["metrics"])

ReportReader = Annotated[Caller, require_right(Right.REPORTS_READ)]


@router.get("/embellishment-signs", responses=COMMON_ERRORS, summary="Signs that figures may be embellished")
async def list_embellishment_signs(
    session: ReadTransaction, caller: ReportReader, from_: PeriodFrom = None, to: PeriodTo = None
) -> EmbellishmentSigns:
    """Return signs in the figures of organisations, over the appeals opened in the period in the whole region,
    with links to the appeals. A sign is a reason to look at the appeals, not a verdict.
    """
    period = parse_period(from_, to, clock.now())
    async with statement_timeout(session):
        signs = await read_gaming_signs(session, period.start, period.end)
        ids = {sign.organisation_id for sign in signs}
        rows = await session.execute(select(Organisation.id, Organisation.name).where(Organisation.id.in_(ids)))
        names = {row.id: row.name for row in rows}
    return EmbellishmentSigns(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        signs=[
            EmbellishmentSign(
                code=sign.code,
                organisation_id=sign.organisation_id,
                organisation=names[sign.organisation_id],
                sentence=sign.sentence,
                appeal_ids=list(sign.appeal_ids),
            )
            for sign in signs
        ],
    )
