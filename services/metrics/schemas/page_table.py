"""API models of page figures by week, network and another dimension."""

from enum import StrEnum

from pydantic import BaseModel, Field

from services.metrics.schemas.page_formulas import Week
from services.metrics.schemas.page_health import NetworkAudience

_LINK = "/api/v1/metrics/pages?week=2026-W48&network=vk&peer_group=schools"


class PageDimension(StrEnum):
    """The dimensions by which pages can be grouped, besides week and network."""

    PEER_GROUP = "peer_group"
    MUNICIPALITY = "municipality"
    ORGANISATION = "organisation"


class PageTableRow(NetworkAudience):
    """The pages of a network in a week, or a group of them.

    Views, reactions and reach cover the pages for which they are known: null, not 0, if they are known for none.
    """

    week: Week
    key: str | None = Field(
        description="Code of the peer group, OKTMO code or id; `none`: organisations without a municipality. Null "
        "without `by`",
        examples=["schools"],
    )
    name: str | None = Field(examples=["Школы"])
    total: int = Field(
        description="All pages, scored or not; `pages` are those whose reactions are known", examples=[340]
    )
    scored: int = Field(description="Pages with a score", examples=[332])
    green: int = Field(examples=[210])
    yellow: int = Field(examples=[80])
    red: int = Field(examples=[42])
    unknown: int = Field(description="Pages of which too little is known for a score", examples=[8])
    mean_score: float | None = Field(description="0 to 100", examples=[68.4])
    listed: str | None = Field(
        description="Its pages; null for those without a municipality, by which pages cannot be listed",
        examples=[_LINK],
    )


class PageTable(BaseModel):
    """Figures of pages by week and network. Networks are not added up, since their engagement has
    different bases.
    """

    first_week: Week | None = Field(description="Null: no week has scores")
    last_week: Week | None
    by: PageDimension | None
    rows: list[PageTableRow] = Field(
        description="By network, then key, then week, so that the rows of a line of a chart follow each other. "
        "Weeks without scores have no row"
    )
