"""Presenters of stored routes, with the names of the suggested organisations."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle.route_snapshot import RouteSnapshot
from services.appeals.schemas.routing import routes
from shared.masking import mask
from shared.tables.registry import Organisation


async def organisation_names(session: AsyncSession, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Return the names of these organisations, in at most one statement."""
    wanted = {found for found in ids if found is not None}
    if not wanted:
        return {}
    rows = await session.execute(select(Organisation.id, Organisation.name).where(Organisation.id.in_(wanted)))
    return {row.id: row.name for row in rows}


def suggested_ids(route: RouteSnapshot) -> list[UUID]:
    """Return the organisations that the route suggests."""
    return [found.organisation_id for found in route.suggestions]


def route_out(route: RouteSnapshot, named: Mapping[UUID, str]) -> routes.RouteOut:
    """Return a route with the given organisation names."""
    suggestions = [
        {**dict(found), "organisation": {"id": found.organisation_id, "name": named[found.organisation_id]}}
        for found in route.suggestions
    ]
    return routes.RouteOut.model_validate({**dict(route), "suggestions": suggestions})


async def load_route(session: AsyncSession, route: RouteSnapshot) -> routes.RouteOut:
    """Return one route, loading the names it needs."""
    return route_out(route, await organisation_names(session, suggested_ids(route)))


def masked_route(route: routes.RouteOut) -> routes.RouteOut:
    """Return a route as lists show it: personal data masked in quotes and in reasons that people wrote."""
    words = ["why", "return_reason"]
    if route.rule_set is None:
        # Masked only if a person wrote it: a rule's reason contains names of organisations, some named after
        # people.
        words.append("reason")
    texts = {name: found for name in words if (found := getattr(route, name)) is not None}
    return route.model_copy(update={name: mask(found) for name, found in texts.items()})
