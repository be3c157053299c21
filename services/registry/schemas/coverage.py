"""What crosses the wire of coverage."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from services.registry.schemas.fields import OrganisationKind
from services.registry.schemas.organisations import EXAMPLE_ID
from shared.networks import NETWORKS

ANY_NETWORK = "any"
NO_GROUP = "none"


class CoverageStage(StrEnum):
    """How far a body's best page in a network has come; the order is the order of the way."""

    NO_PAGE = "no_page"
    CLOSED = "closed"
    NOT_VERIFIED = "not_verified"
    NOT_LIVE = "not_live"
    LIVE = "live"


class MissingReason(StrEnum):
    """Why a body has no live page: the stage it stands at, or that it is freed of the duty."""

    NO_PAGE = "no_page"
    CLOSED = "closed"
    NOT_VERIFIED = "not_verified"
    NOT_LIVE = "not_live"
    EXEMPT = "exempt"


KIND_GROUP_LABELS = {
    "regional": "Региональные органы",
    "municipality": "Муниципалитеты",
    "institution": "Подведомственные учреждения",
    "court": "Суды",
}
REASON_LABELS = {
    MissingReason.NO_PAGE: "Нет страницы",
    MissingReason.CLOSED: "Страница закрыта",
    MissingReason.NOT_VERIFIED: "Страница не подтверждена",
    MissingReason.NOT_LIVE: "Страница не введена в работу",
    MissingReason.EXEMPT: "Освобождена от ведения страницы",
}
_NETWORKS = (ANY_NETWORK, *NETWORKS)


def _known(name: str) -> str:
    if name not in _NETWORKS:
        raise ValueError(f"is none of {', '.join(_NETWORKS)}")
    return name


def network_title(network: str) -> str:
    """How people read it."""
    return NETWORKS[network].title if network in NETWORKS else "Хотя бы одна сеть"


NetworkOrAny = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema(
        {
            "type": "string",
            "enum": list(_NETWORKS),
            "title": "Network",
            "description": "`any`: the best of all networks",
        }
    ),
]
CoverageShare = Annotated[
    float | None, Field(description="Of `total`, 0 to 1; null when nobody owes a page", examples=[0.91])
]


class CoverageGroupBy(StrEnum):
    """What figures are split by, besides the network."""

    MUNICIPALITY = "municipality"
    SPHERE = "sphere"
    PARENT = "owner"
    KIND = "kind"


class HistoryInterval(StrEnum):
    """How far apart the points of a history are."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


class NetworkCoverage(BaseModel):
    """Coverage in one network. The stages count the best page of each body that owes one; they sum to `total`."""

    network: NetworkOrAny = Field(examples=["vk"])
    total: int = Field(description="Bodies that owe a page", examples=[1870])
    exempt: int = Field(description="Bodies freed of it; not in `total`", examples=[34])
    covered: int = Field(description="Have a verified page: `not_live` and `live`", examples=[1702])
    covered_share: CoverageShare
    live_share: CoverageShare
    no_page: int = Field(description="No page is registered", examples=[120])
    closed: int = Field(description="Pages are closed or given up", examples=[8])
    not_verified: int = Field(description="A page, but not verified", examples=[40])
    not_live: int = Field(description="Verified, but not live yet", examples=[150])
    live: int = Field(description="Verified and live", examples=[1552])

    @classmethod
    def from_counts(cls, network: str, counts: Mapping[str, int]) -> Self:
        """Counts with their shares."""
        return cls(
            network=network,
            covered_share=_share(counts["covered"], counts["total"]),
            live_share=_share(counts["live"], counts["total"]),
            **counts,
        )

    @staticmethod
    def order() -> tuple[str, ...]:
        """Networks as they are listed."""
        return _NETWORKS

    def sort_index(self) -> int:
        """Where it stands among the networks."""
        return _NETWORKS.index(self.network)


class CoverageGroup(BaseModel):
    """A district, sphere, owner or kind, by network."""

    key: str = Field(description="OKTMO, sphere, owner's id or kind; `none`: without one", examples=["81701000"])
    name: str | None = Field(examples=["город Улан-Удэ"])
    networks: list[NetworkCoverage]


class Coverage(BaseModel):
    """How many bodies owe a page and have it, now."""

    day: date = Field(description="Today in the region")
    computed_at: datetime
    group_by: CoverageGroupBy | None
    total: list[NetworkCoverage]
    groups: list[CoverageGroup] = Field(description="By name, those without one last; empty without `group_by`")


class NamedBody(BaseModel):
    """An organisation."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["Школа № 71"])


class PageRef(BaseModel):
    """The body's best page in the network."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    url: str = Field(examples=["https://vk.com/club101"])


class MissingPage(BaseModel):
    """A body without a live page in a network, and why."""

    organisation: NamedBody
    code: str | None = Field(examples=["school71-ulanude"])
    kind: OrganisationKind
    sphere: str | None = Field(examples=["образование"])
    municipality: str | None = Field(examples=["81701000"])
    municipality_name: str | None = Field(examples=["город Улан-Удэ"])
    owner: NamedBody | None
    network: NetworkOrAny = Field(examples=["vk"])
    reason: MissingReason = Field(description="What is lacking; `exempt`: the body is freed of the duty")
    exempt_reason: str | None = Field(description="The ground of the exemption", examples=[None])
    exempt_document: str | None = Field(examples=[None])
    page: PageRef | None = Field(description="The page that is not yet what it must be")


class CoveragePoint(BaseModel):
    """Coverage on a day."""

    day: date
    total: int = Field(description="Bodies that owed a page", examples=[1870])
    exempt: int = Field(examples=[34])
    covered: int = Field(description="Had a verified page", examples=[1702])
    live: int = Field(description="Had one that was live", examples=[1552])
    covered_share: CoverageShare
    live_share: CoverageShare

    @classmethod
    def counted(cls, day: date, counts: Mapping[str, int]) -> Self:
        """Counts with their shares."""
        return cls(
            day=day,
            covered_share=_share(counts["covered"], counts["total"]),
            live_share=_share(counts["live"], counts["total"]),
            **counts,
        )
