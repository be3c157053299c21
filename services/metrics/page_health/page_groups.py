"""The peer group of a page is that of its organisation."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from sqlalchemy import Row, TableValuedAlias, Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness.peer_groups import PeerGroup, peer_group
from shared.tables.registry import Organisation, Page

_CODES = [group.value for group in PeerGroup]


def _known_group(code: str) -> str:
    if code not in _CODES:
        raise ValueError(f"No such peer group: {code}. Known groups: {', '.join(_CODES)}")
    return code


PeerGroupCode = Annotated[
    str, AfterValidator(_known_group), Field(description="Code of a peer group", examples=["schools"])
]


def peers_table() -> TableValuedAlias:
    """Return a table of `organisation_id` and `code`, filled by the parameters of `peer_group_parameters`.

    Groups are computed in Python from names: SQL cannot normalise names in the same way.
    """
    organisations = bindparam("peer_organisations", type_=ARRAY(Uuid))
    codes = bindparam("peer_codes", type_=ARRAY(Text))
    return func.unnest(organisations, codes).table_valued("organisation_id", "code").render_derived("peers")


async def peer_group_parameters(session: AsyncSession) -> dict[str, list[Any]]:
    """Return the parameters of `peers_table`: the peer groups of the organisations with pages."""
    with_page = select(Page.organisation_id).distinct()
    query = select(Organisation.id, Organisation.kind, Organisation.sphere, Organisation.name)
    rows = (await session.execute(query.where(Organisation.id.in_(with_page)))).all()
    return await asyncio.to_thread(_parameters, rows)


def _parameters(rows: Sequence[Row[*tuple[Any, ...]]]) -> dict[str, list[Any]]:
    return {
        "peer_organisations": [row.id for row in rows],
        "peer_codes": [peer_group(row.kind, row.sphere, row.name).value for row in rows],
    }
