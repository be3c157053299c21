"""Dimensions of appeals: the key of an appeal in each dimension, and filters by these keys.

The keys are the same as in `GET /metrics/sla`, so that tables add up to its groups.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema
from sqlalchemy import ColumnElement, Select, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from typing_extensions import TypeAliasType

from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.period import Period
from services.metrics.indicators.sla import OF_APPEALS, breakdown_by, opened_in
from services.metrics.schemas.analytics import AppealDimension
from services.metrics.schemas.metrics import SlaGroupBy
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.database.id_conditions import is_one_of
from shared.networks import NETWORKS
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality, Organisation

# The SQL expression of an appeal's key in each dimension.
KEYS: Mapping[AppealDimension, ColumnElement[Any]] = {
    **{AppealDimension(one): breakdown_by(one, OF_APPEALS).key for one in SlaGroupBy},
    # Where the problem is: the municipality of the appeal's location, otherwise that of the organisation.
    AppealDimension.LOCATION: func.coalesce(Appeal.municipality, Organisation.municipality),
}
# The columns for the groups of a dimension: key, name, order. Keys of other dimensions are sorted as text.
_LABELS: Mapping[AppealDimension, tuple[InstrumentedAttribute[Any], ...]] = {
    AppealDimension.ORGANISATION: (Organisation.id, Organisation.name, Organisation.sort_key),
    **dict.fromkeys(
        (AppealDimension.MUNICIPALITY, AppealDimension.LOCATION),
        (Municipality.oktmo, Municipality.name, Municipality.sort_key),
    ),
    **dict.fromkeys((AppealDimension.TOPIC_GROUP, AppealDimension.TOPIC), (Topic.id, Topic.name, Topic.position)),
}
_NETWORK_KEYS = [*NETWORKS, NO_GROUP]
_NONE_SCHEMA = {"const": NO_GROUP}


def _validate_id_key(key: str) -> str:
    # Keys are compared as text, so ids are normalised to one spelling.
    return key if key == NO_GROUP else str(UUID(key))


def _validate_network_key(key: str) -> str:
    if key not in _NETWORK_KEYS:
        raise ValueError(f"must be one of {', '.join(_NETWORK_KEYS)}")
    return key


def _validate_day(key: str) -> str:
    if date.fromisoformat(key).isoformat() != key:
        raise ValueError("must be a date such as 2026-11-23")
    return key


def _validate_week(key: str) -> str:
    date.fromisocalendar(int(key[:4]), int(key[6:]), 1)
    return key


IdKey = TypeAliasType(
    "IdKey",
    Annotated[
        str,
        AfterValidator(_validate_id_key),
        WithJsonSchema({"anyOf": [{"type": "string", "format": "uuid"}, _NONE_SCHEMA]}),
    ],
)
OktmoKey = TypeAliasType("OktmoKey", Annotated[str, Field(pattern=r"^(\d{8}|\d{11}|none)$")])
NetworkKey = TypeAliasType(
    "NetworkKey",
    Annotated[
        str, AfterValidator(_validate_network_key), WithJsonSchema({"type": "string", "enum": _NETWORK_KEYS})
    ],
)
DayKey = TypeAliasType(
    "DayKey", Annotated[str, AfterValidator(_validate_day), WithJsonSchema({"type": "string", "format": "date"})]
)
WeekKey = TypeAliasType(
    "WeekKey", Annotated[str, Field(pattern=r"^\d{4}-W\d{2}$"), AfterValidator(_validate_week)]
)


class AppealFilter(ListFilter):
    """Filter: appeals with the given key in each dimension; `none` means appeals without a value."""

    municipality: OktmoKey | None = Field(
        default=None, description="OKTMO code of the organisation's municipality"
    )
    network: NetworkKey | None = None
    topic_group: IdKey | None = Field(default=None, description="Id of the topic group")
    topic: IdKey | None = Field(default=None, description="Id of the topic")
    day: DayKey | None = Field(default=None, description="A date of the region", examples=["2026-11-23"])
    week: WeekKey | None = Field(default=None, description="An ISO week of the region", examples=["2026-W48"])

    @property
    def keys(self) -> dict[AppealDimension, str]:
        """Return the given keys by dimension."""
        return {one: key for one in AppealDimension if (key := getattr(self, one, None)) is not None}


class MapFilter(AppealFilter):
    """Filters for the map: all dimensions but the location, since the map shows every location."""

    organisation: IdKey | None = Field(default=None, description="Id of the organisation")


class RankingFilter(AppealFilter):
    """Filters for rankings: all dimensions but the organisation, which is ranked among others."""

    location: OktmoKey | None = Field(default=None, description="OKTMO code of where the problem is")


class DimensionFilter(MapFilter, RankingFilter):
    """Filters by every dimension."""


@dataclass(frozen=True)
class AppealSelection:
    """The appeals of a request: opened in the period, matching the filters, and visible to the caller.

    Open deadlines are compared with `now`.
    """

    period: Period
    filters: AppealFilter
    caller: Caller
    now: datetime


def select_appeals(columns: list[ColumnElement[Any]], selection: AppealSelection) -> Select[Any]:
    """Return the SQL query of these columns over the selected appeals. Postgres removes joins that no column
    needs.
    """
    query: Select[Any] = (
        select(*columns)
        .select_from(Appeal)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .where(opened_in(selection.period, selection.caller))
    )
    for dimension, key in selection.filters.keys.items():
        of = KEYS[dimension]
        query = query.where(of.is_(None) if key == NO_GROUP else of == key)
    return query


async def read_names(
    session: AsyncSession, dimension: AppealDimension, keys: Iterable[str]
) -> dict[str, str | None]:
    """Return display names by key, in the order of the groups; None for a key without a name."""
    keys = list(keys)
    labels: dict[str, tuple[str, Any]] = {}
    if dimension in _LABELS:
        key, name, order = _LABELS[dimension]
        query = select(cast(key, Text), name, order)
        if key is not Municipality.oktmo:  # municipalities are few: read them all
            query = query.where(is_one_of(key, [UUID(one) for one in keys if one != NO_GROUP]))
        labels = {row[0]: (row[1], row[2]) for row in await session.execute(query)}
    known = sorted((key for key in keys if key in labels), key=lambda key: (labels[key][1], key))
    others = sorted(key for key in keys if key not in labels)
    # The group without a key comes last.
    ordered = [*known, *(key for key in others if key != NO_GROUP), *(key for key in others if key == NO_GROUP)]
    return {key: labels[key][0] if key in labels else None for key in ordered}
