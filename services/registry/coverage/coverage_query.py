"""The query for all coverage figures and lists: the best page of each organisation in each network.

An organisation must keep a page while it is active, within its validity, not exempt, and of a kind to which the
law applies (270-ФЗ: all kinds except `other`). Its best page in a network counts. For `any`, the best page over
all networks counts: the law requires only one page.
"""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import (
    ColumnElement,
    Subquery,
    Text,
    Values,
    and_,
    case,
    column,
    false,
    func,
    literal,
    or_,
    select,
    values,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from services.registry.persistence.search_patterns import like_patterns
from services.registry.schemas.coverage import ANY_NETWORK, NO_GROUP, CoverageStage
from services.registry.schemas.fields import FilterText
from services.registry.schemas.page_checks import PageState
from services.registry.schemas.pages import PageStepKind
from shared.api.query_parameters import ListFilter
from shared.contracts.values import OrganisationKind
from shared.networks import NETWORKS
from shared.organisation_status import is_operating
from shared.tables.registry import Organisation, Page, PageStep

REQUIRED_KINDS = ("regional", "municipality", "institution", "court")
CLOSED_STATES = (PageState.CLOSED, PageState.GONE)

STAGE_RANKS: dict[CoverageStage, int] = {stage: rank for rank, stage in enumerate(CoverageStage)}
STAGES = list(CoverageStage)


class CoverageFilter(ListFilter):
    """Filter of organisations; `none` selects organisations without a value."""

    municipality: FilterText = Field(default=None, description="OKTMO as in `GET /municipalities`, or `none`")
    sphere: FilterText = Field(default=None, description="The main sphere, or `none`")
    kind: OrganisationKind | None = None
    parent_id: UUID | Literal["none"] | None = Field(
        default=None, description="Directly subordinate to this organisation, or `none`"
    )
    ancestor_id: UUID | None = Field(default=None, description="Subordinate to this organisation at any depth")


def filter_conditions(filters: CoverageFilter, columns: Any) -> list[ColumnElement[bool]]:
    """Return the filter as SQL conditions on the columns `municipality`, `sphere`, `kind` and `parent_id`."""
    conditions: list[ColumnElement[bool]] = []
    for name in ("municipality", "sphere", "kind", "parent_id"):
        value = getattr(filters, name)
        if value is not None:
            named = getattr(columns, name)
            conditions.append(named.is_(None) if value == NO_GROUP else named == value)
    if filters.ancestor_id is not None:
        parents = select(Organisation.id).where(Organisation.lineage.contains([filters.ancestor_id]))
        conditions.append(columns.parent_id.in_(parents))
    return conditions


def _pages() -> Subquery:
    """Return the query of all pages with the rank of their stage."""
    steps = (
        select(
            PageStep.page_id,
            func.bool_or(PageStep.step == PageStepKind.VERIFIED).label("verified"),
            func.bool_or(PageStep.step == PageStepKind.LIVE).label("live"),
        )
        .where(PageStep.lost_on.is_(None))
        .group_by(PageStep.page_id)
        .subquery("steps")
    )
    rank = case(
        (or_(Page.active.is_(False), Page.state.in_(CLOSED_STATES)), STAGE_RANKS[CoverageStage.CLOSED]),
        (func.coalesce(steps.c.verified, false()).is_(False), STAGE_RANKS[CoverageStage.NOT_VERIFIED]),
        (steps.c.live.is_(False), STAGE_RANKS[CoverageStage.NOT_LIVE]),
        else_=STAGE_RANKS[CoverageStage.LIVE],
    )
    return (
        select(Page.id, Page.organisation_id, Page.network, rank.label("rank"))
        .outerjoin(steps, steps.c.page_id == Page.id)
        .subquery("ranked_pages")
    )


def _networks() -> Values:
    return values(column("network", Text), name="networks").data([(name,) for name in (*NETWORKS, ANY_NETWORK)])


def best_pages_query(today: date, filters: CoverageFilter, name_query: str | None = None) -> Subquery:
    """Return the query for one row per organisation and network or `any`: identity, exemption, best page, `rank`.

    `name_query`: select only organisations whose name contains these words.
    """
    bodies = (
        select(
            Organisation.id,
            Organisation.code,
            Organisation.name,
            Organisation.sort_key,
            Organisation.kind,
            Organisation.sphere,
            Organisation.municipality,
            Organisation.parent_id,
            Organisation.exempt_reason,
            Organisation.exempt_document,
        )
        .where(
            is_operating(today),
            Organisation.kind.in_(REQUIRED_KINDS),
            or_(Organisation.valid_from.is_(None), Organisation.valid_from <= today),
        )
        .where(*(Organisation.sort_key.like(word, escape="\\") for word in like_patterns(name_query or "")))
        .subquery("bodies")
    )
    pages, networks = _pages(), _networks()
    best = func.array_agg(aggregate_order_by(pages.c.id, pages.c.rank.desc(), pages.c.id))
    return (
        select(
            *bodies.c,
            networks.c.network,
            func.coalesce(func.max(pages.c.rank), literal(STAGE_RANKS[CoverageStage.NO_PAGE])).label("rank"),
            best[1].label("page_id"),
        )
        .select_from(bodies.join(networks, literal(True)))
        .outerjoin(
            pages,
            and_(
                pages.c.organisation_id == bodies.c.id,
                or_(networks.c.network == ANY_NETWORK, pages.c.network == networks.c.network),
            ),
        )
        .where(*filter_conditions(filters, bodies.c))
        .group_by(*bodies.c, networks.c.network)
        .subquery("coverage")
    )
