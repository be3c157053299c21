"""The versions of the formula of page scores: find the version for a week, list versions, add one.

The database refuses to change or delete a version, so every score can be explained by the formula that gave it.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.weeks import Week, requested_week
from services.metrics.page_health.formula_checks import formula_errors
from services.metrics.schemas.page_formulas import PageFormula, PageFormulaIn
from shared import clock
from shared.api.pagination import Paging
from shared.database.sessions import WriteSession
from shared.http.problems import FieldError, Invalid, NotFound
from shared.tables.metrics_pages import PageScoreFormula

_LOCK_KEY = 0x7073666F  # "psfo"


async def formula_of_week(session: AsyncSession, week: Week) -> PageScoreFormula:
    """Return the formula that scores a week. Raises `LookupError` if no formula is valid then."""
    found: PageScoreFormula | None = await session.scalar(
        select(PageScoreFormula)
        .where(PageScoreFormula.valid_from <= week.name)
        .order_by(PageScoreFormula.valid_from.desc(), PageScoreFormula.number.desc())
        .limit(1)
    )
    if found is None:
        raise LookupError(f"no formula of page scores is valid in {week.name}")
    return found


def parse_formula(row: PageScoreFormula) -> PageFormula:
    """Return the formula stored in a row."""
    return PageFormula.model_validate({name: getattr(row, name) for name in PageFormula.model_fields})


async def list_formulas(session: AsyncSession, paging: Paging) -> Sequence[PageScoreFormula]:
    """Return the versions, newest first, one more than the page holds."""
    query = select(PageScoreFormula).order_by(PageScoreFormula.number.desc()).limit(paging.limit + 1)
    after = paging.after((PageScoreFormula.number,), (int,))
    return list(await session.scalars(query if after is None else query.where(after)))


async def get_formula(session: AsyncSession, formula_id: UUID) -> PageScoreFormula:
    """Return a version of the formula. Raises `NotFound` for an unknown id."""
    found = await session.get(PageScoreFormula, formula_id)
    if found is None:
        raise NotFound("No such formula")
    return found


async def add_formula(session: WriteSession, wanted: PageFormulaIn, actor: str) -> PageScoreFormula:
    """Add a version that scores the current or a later week and the weeks after it.

    A week is scored after its end, so existing scores do not change. Raises `Invalid` for each wrong field.
    """
    errors = formula_errors(wanted)
    current = Week.containing(clock.now())
    first = current
    if wanted.valid_from is not None:
        try:
            first = requested_week(wanted.valid_from, "/valid_from")
        except Invalid as error:
            errors += error.errors
        if first.monday < current.monday:
            detail = f"Weeks before {current.name} are over: their scores stay as they are"
            errors.append(FieldError(pointer="/valid_from", detail=detail))
    if errors:
        raise Invalid("; ".join(error.detail for error in errors), errors=errors)
    # Serialised, because two concurrent transactions would use the same number.
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))
    number = await session.scalar(select(func.coalesce(func.max(PageScoreFormula.number), 0) + 1))
    formula = PageScoreFormula(
        number=number,
        name=wanted.name,
        valid_from=first.name,
        criteria=[criterion.model_dump(mode="json", exclude_none=True) for criterion in wanted.criteria],
        green_from=wanted.green_from,
        yellow_from=wanted.yellow_from,
        min_known_percent=wanted.min_known_percent,
        created_by=actor,
    )
    session.add(formula)
    await session.flush()
    return formula
