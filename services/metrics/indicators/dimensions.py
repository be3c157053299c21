"""Dimensions of appeals: how each divides them, and how a request restricts figures to some of them.

The keys are those of `GET /metrics/sla`, so that tables add up to its groups.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema
from sqlalchemy import ColumnElement, Executable, Select, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.period import Period
from services.metrics.schemas.analytics import AppealDimension
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.clock import REGION_TIME_ZONE
from shared.networks import NETWORKS
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality, Organisation

_KEY = r"^[\w-]{1,100}$"
_local = func.timezone(REGION_TIME_ZONE.key, Appeal.opened_at)

# The key of each appeal, as text.
KEYS: Mapping[AppealDimension, ColumnElement[Any]] = {
    AppealDimension.ORGANISATION: cast(Appeal.organisation_id, Text),
    AppealDimension.MUNICIPALITY: Organisation.municipality.expression,
    # Where the problem is: as the text said, else where the organisation is.
    AppealDimension.LOCATION: func.coalesce(Appeal.municipality, Organisation.municipality),
    AppealDimension.NETWORK: Appeal.network.expression,
    AppealDimension.TOPIC_GROUP: cast(func.coalesce(Topic.group_id, Topic.id), Text),
    AppealDimension.TOPIC: cast(Appeal.topic_id, Text),
    AppealDimension.DAY: func.to_char(_local, "YYYY-MM-DD"),
    AppealDimension.WEEK: func.to_char(_local, 'IYYY-"W"IW'),
}
# Queries of keys with their names and what they are ordered by. The keys of other dimensions order themselves.
_LABELS: Mapping[AppealDimension, Executable] = {
    AppealDimension.ORGANISATION: select(cast(Organisation.id, Text), Organisation.name, Organisation.sort_key),
    **dict.fromkeys(
        (AppealDimension.MUNICIPALITY, AppealDimension.LOCATION),
        select(Municipality.oktmo, Municipality.name, Municipality.sort_key),
    ),
    **dict.fromkeys(
        (AppealDimension.TOPIC_GROUP, AppealDimension.TOPIC),
        select(cast(Topic.id, Text), Topic.name, Topic.position),
    ),
}


_NETWORK_KEYS = [*NETWORKS, NO_GROUP]


def _validate_network_key(key: str) -> str:
    if key not in _NETWORK_KEYS:
        raise ValueError(f"must be one of {', '.join(_NETWORK_KEYS)}")
    return key


NetworkKey = TypeAliasType(
    "NetworkKey",
    Annotated[
        str, AfterValidator(_validate_network_key), WithJsonSchema({"type": "string", "enum": _NETWORK_KEYS})
    ],
)


class DimensionFilter(ListFilter):
    """Restricts appeals to those with this key in each dimension that is given; `none`: to those without one."""

    organisation: str | None = Field(default=None, pattern=_KEY, description="Id of the organisation")
    municipality: str | None = Field(default=None, pattern=_KEY, description="OKTMO code of the organisation's")
    location: str | None = Field(default=None, pattern=_KEY, description="OKTMO code of where the problem is")
    network: NetworkKey | None = None
    topic_group: str | None = Field(default=None, pattern=_KEY, description="Id of the topic group")
    topic: str | None = Field(default=None, pattern=_KEY, description="Id of the topic")
    day: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-11-23"])
    week: str | None = Field(default=None, pattern=r"^\d{4}-W\d{2}$", examples=["2026-W48"])

    @property
    def keys(self) -> dict[AppealDimension, str]:
        """Return the key of each dimension that is restricted."""
        return {one: key for one in AppealDimension if (key := getattr(self, one)) is not None}


@dataclass(frozen=True)
class AppealSelection:
    """Which appeals a request is about: opened in the period, with these keys, and visible to the caller.

    Open deadlines are compared with `now`.
    """

    period: Period
    filters: DimensionFilter
    caller: Caller
    now: datetime


def select_appeals(columns: list[ColumnElement[Any]], selection: AppealSelection) -> Select[Any]:
    """Return the query of columns of the selected appeals. Postgres leaves out a join that no column needs."""
    period = selection.period
    query: Select[Any] = (
        select(*columns)
        .select_from(Appeal)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .where(
            selection.caller.scope(Appeal.organisation_id),
            Appeal.opened_at >= period.start,
            Appeal.opened_at < period.end,
        )
    )
    for dimension, key in selection.filters.keys.items():
        of = KEYS[dimension]
        query = query.where(of.is_(None) if key == NO_GROUP else of == key)
    return query


async def read_names(
    session: AsyncSession, dimension: AppealDimension, keys: Iterable[str]
) -> dict[str, str | None]:
    """Return the keys in the order of their groups, each with its display name, if it has one."""
    labels: dict[str, tuple[str, Any]] = {}
    if dimension in _LABELS:
        rows = await session.execute(_LABELS[dimension])
        labels = {row[0]: (row[1], row[2]) for row in rows}
    known = sorted((key for key in keys if key in labels), key=lambda key: (labels[key][1], key))
    others = sorted(key for key in keys if key not in labels)
    # Appeals without a key come last.
    ordered = [*known, *(key for key in others if key != NO_GROUP), *(key for key in others if key == NO_GROUP)]
    return {key: labels[key][0] if key in labels else None for key in ordered}
