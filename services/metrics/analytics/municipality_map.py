"""Figures by location as GeoJSON: a feature for each municipality of the registry, including those without
appeals.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.analytics.appeal_figures import shown_figures
from services.metrics.analytics.appeal_tables import compute_table
from services.metrics.analytics.map_file import MapFile
from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.dimensions import AppealSelection
from services.metrics.schemas.analytics import (
    AppealDimension,
    AppealFigures,
    MunicipalityFeature,
    MunicipalityFigures,
    MunicipalityMap,
)
from shared.clock import REGION_TIME_ZONE
from shared.logs import get_logger
from shared.tables.registry import Municipality

log = get_logger(__name__)


async def compute_map(session: AsyncSession, selection: AppealSelection, region: MapFile) -> MunicipalityMap:
    """Return the map of the selected appeals; `region` gives the geometry and the population."""
    table = await compute_table(session, selection, AppealDimension.LOCATION, None)
    groups = {group.key: group for group in table.rows}
    known = (await session.execute(select(Municipality).order_by(Municipality.sort_key))).scalars().all()
    names: dict[str, str | None] = {one.oktmo: one.name for one in known}
    _log_unknown_codes(region.codes.difference(names))
    # Codes that the registry no longer has are included, so that the features add up to the total.
    names |= {group.key: None for group in table.rows if group.key not in names and group.key != NO_GROUP}

    def figures(key: str) -> dict[str, Any]:
        found = groups.get(key)
        if found is not None:
            return {name: getattr(found, name) for name in AppealFigures.model_fields}
        return shown_figures({}, selection, {AppealDimension.LOCATION: key})

    features = []
    for oktmo, name in names.items():
        population = region.population(oktmo)
        shown = MunicipalityFigures(
            oktmo=oktmo, name=name, population=population, opened_per_1000=None, **figures(oktmo)
        )
        if population is not None:
            shown.opened_per_1000 = round(1000 * shown.opened / population, 3)
        features.append(MunicipalityFeature(id=oktmo, geometry=region.geometry(oktmo), properties=shown))
    return MunicipalityMap(
        start=table.start,
        end=table.end,
        time_zone=REGION_TIME_ZONE.key,
        features=features,
        elsewhere=AppealFigures(**figures(NO_GROUP)),
    )


@lru_cache(maxsize=1)
def _log_unknown_codes(codes: frozenset[str]) -> None:
    """Log the codes of the map file that no municipality has; again only when they change."""
    if codes:
        log.warning("the map file has unknown OKTMO codes", codes=sorted(codes))
