"""Figures by location as GeoJSON: a feature for each municipality of the registry, also without appeals."""

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
    TableGroup,
)
from shared.clock import REGION_TIME_ZONE
from shared.tables.registry import Municipality


async def compute_map(session: AsyncSession, selection: AppealSelection, region: MapFile) -> MunicipalityMap:
    """Return the map of the selected appeals; `region` has geometry and population."""
    table = await compute_table(session, selection, AppealDimension.LOCATION, None)
    groups = {group.key: group for group in table.rows}
    places = (await session.execute(select(Municipality).order_by(Municipality.sort_key))).scalars().all()

    def figures(oktmo: str) -> dict[str, Any]:
        found: TableGroup | None = groups.get(oktmo)
        if found is not None:
            return {name: getattr(found, name) for name in AppealFigures.model_fields}
        return shown_figures({}, selection, {AppealDimension.LOCATION: oktmo})

    features = []
    for place in places:
        population = region.population(place.oktmo)
        shown = MunicipalityFigures(
            oktmo=place.oktmo,
            name=place.name,
            population=population,
            opened_per_1000=None,
            **figures(place.oktmo),
        )
        if population is not None:
            shown.opened_per_1000 = round(1000 * shown.opened / population, 3)
        features.append(
            MunicipalityFeature(id=place.oktmo, geometry=region.geometry(place.oktmo), properties=shown)
        )
    return MunicipalityMap(
        start=table.start,
        end=table.end,
        time_zone=REGION_TIME_ZONE.key,
        features=features,
        elsewhere=AppealFigures(**figures(NO_GROUP)),
    )
