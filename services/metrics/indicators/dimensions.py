"""Dimensions of appeals: how each divides them, and how a request restricts figures to some of them.

The keys are those of `GET /metrics/sla`, so that tables add up to its groups.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema
from sqlalchemy import ColumnElement, Select, Text, cast, func, null, select
from sqlalchemy.orm import aliased
from typing_extensions import TypeAliasType

from services.metrics.indicators.breakdown import NO_GROUP, Breakdown
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
_NO_NAME = cast(null(), Text)
_TopicGroup = aliased(Topic)
_Location = aliased(Municipality)
_local = func.timezone(REGION_TIME_ZONE.key, Appeal.opened_at)
_day = func.to_char(_local, "YYYY-MM-DD")
_week = func.to_char(_local, 'IYYY-"W"IW')
# Where the problem is: as the text said, else where the organisation is.
_location = func.coalesce(Appeal.municipality, Organisation.municipality)


def _position(column: Any) -> ColumnElement[Any]:
    return func.to_char(column, "0000000000")


BREAKDOWNS: Mapping[AppealDimension, Breakdown] = {
    AppealDimension.ORGANISATION: Breakdown(
        cast(Appeal.organisation_id, Text), Organisation.name.expression, Organisation.sort_key.expression
    ),
    AppealDimension.MUNICIPALITY: Breakdown(
        Organisation.municipality.expression, Municipality.name.expression, Municipality.sort_key.expression
    ),
    AppealDimension.LOCATION: Breakdown(_location, _Location.name.expression, _Location.sort_key.expression),
    AppealDimension.NETWORK: Breakdown(Appeal.network.expression, _NO_NAME, Appeal.network.expression),
    AppealDimension.TOPIC_GROUP: Breakdown(
        cast(func.coalesce(Topic.group_id, Topic.id), Text),
        func.coalesce(_TopicGroup.name, Topic.name),
        _position(func.coalesce(_TopicGroup.position, Topic.position)),
    ),
    AppealDimension.TOPIC: Breakdown(
        cast(Appeal.topic_id, Text), Topic.name.expression, _position(Topic.position)
    ),
    AppealDimension.DAY: Breakdown(_day, _NO_NAME, _day),
    AppealDimension.WEEK: Breakdown(_week, _NO_NAME, _week),
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
    """Return the query of columns of the selected appeals. Postgres leaves out the joins that no column needs."""
    period = selection.period
    query: Select[Any] = (
        select(*columns)
        .select_from(Appeal)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Municipality, Municipality.oktmo == Organisation.municipality)
        .outerjoin(_Location, _Location.oktmo == _location)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .outerjoin(_TopicGroup, _TopicGroup.id == Topic.group_id)
        .where(
            selection.caller.scope(Appeal.organisation_id),
            Appeal.opened_at >= period.start,
            Appeal.opened_at < period.end,
        )
    )
    for dimension, key in selection.filters.keys.items():
        of = BREAKDOWNS[dimension].key
        query = query.where(of.is_(None) if key == NO_GROUP else of == key)
    return query
