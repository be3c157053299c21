"""API models of coverage."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from services.registry.schemas.fields import EXAMPLE_ID, OrganisationRef
from shared.contracts.values import OrganisationKind
from shared.networks import NETWORKS

ANY_NETWORK = "any"
NO_GROUP = "none"


class CoverageStage(StrEnum):
    """Stages of an organisation's best page in a network, in ascending order."""

    NO_PAGE = "no_page"
    CLOSED = "closed"
    NOT_VERIFIED = "not_verified"
    NOT_LIVE = "not_live"
    LIVE = "live"


class MissingReason(StrEnum):
    """Why an organisation has no live page: the stage of its best page, or its exemption."""

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
        raise ValueError(f"The network is not one of {', '.join(_NETWORKS)}")
    return name


def network_title(network: str) -> str:
    """Return the network's name for people."""
    return NETWORKS[network].title if network in NETWORKS else "Хотя бы одна сеть"


NetworkOrAny = TypeAliasType(
    "NetworkOrAny",
    Annotated[
        str,
        AfterValidator(_known),
        WithJsonSchema(
            {
                "type": "string",
                "enum": list(_NETWORKS),
                "description": "`any`: the best page over all networks",
            }
        ),
    ],
)
CoverageShare = Annotated[
    float | None,
    Field(description="Share of `required`, 0 to 1; null when no organisation must keep a page", examples=[0.91]),
]


class CoverageGroupBy(StrEnum):
    """Field by which the counts are grouped, in addition to the network."""

    MUNICIPALITY = "municipality"
    SPHERE = "sphere"
    PARENT = "parent"
    KIND = "kind"


class HistoryInterval(StrEnum):
    """Interval between the points of a history."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


class NetworkCoverage(BaseModel):
    """Coverage in one network.

    Stages count the best page of each organisation that must keep one, and sum to `required`.
    """

    network: NetworkOrAny = Field(examples=["vk"])
    required: int = Field(description="Organisations that must keep a page", examples=[1870])
    exempt: int = Field(description="Organisations exempt from it; not in `required`", examples=[34])
    covered: int = Field(description="With a verified page: `not_live` and `live`", examples=[1702])
    covered_share: CoverageShare
    live_share: CoverageShare
    no_page: int = Field(description="Without a registered page", examples=[120])
    closed: int = Field(description="Whose pages are closed or inactive", examples=[8])
    not_verified: int = Field(description="With a page that is not verified", examples=[40])
    not_live: int = Field(description="With a verified page that is not live yet", examples=[150])
    live: int = Field(description="With a verified page that is live", examples=[1552])

    @classmethod
    def from_counts(cls, network: str, counts: Mapping[str, int]) -> Self:
        """Return the model with these counts and their shares."""
        return cls(
            network=network,
            covered_share=_share(counts["covered"], counts["required"]),
            live_share=_share(counts["live"], counts["required"]),
            **counts,
        )

    @staticmethod
    def order() -> tuple[str, ...]:
        """Return the networks in display order."""
        return _NETWORKS

    def sort_index(self) -> int:
        """Return the position of the network in display order."""
        return _NETWORKS.index(self.network)


class CoverageGroup(BaseModel):
    """A district, sphere, parent organisation or kind, by network."""

    key: str = Field(
        description="OKTMO code, sphere, id of the parent or kind; `none`: organisations without one",
        examples=["81701000"],
    )
    name: str | None = Field(examples=["город Улан-Удэ"])
    networks: list[NetworkCoverage]


class Coverage(BaseModel):
    """The current coverage: how many organisations must keep a page, and how many do."""

    day: date = Field(description="Today in the region")
    computed_at: datetime
    group_by: CoverageGroupBy | None
    total: list[NetworkCoverage]
    groups: list[CoverageGroup] = Field(
        description="By name, the group without a key last; empty without `group_by`"
    )


class PageRef(BaseModel):
    """The organisation's best page in the network."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    url: str = Field(examples=["https://vk.com/club101"])


class MissingPage(BaseModel):
    """An organisation without a live page in a network, and the reason."""

    organisation: OrganisationRef
    code: str | None = Field(examples=["school71-ulanude"])
    kind: OrganisationKind
    sphere: str | None = Field(examples=["образование"])
    municipality: str | None = Field(examples=["81701000"])
    municipality_name: str | None = Field(examples=["город Улан-Удэ"])
    parent: OrganisationRef | None
    network: NetworkOrAny = Field(examples=["vk"])
    reason: MissingReason = Field(description="What is missing; `exempt`: the organisation is exempt")
    exempt_reason: str | None = Field(description="The legal ground of the exemption", examples=[None])
    exempt_document: str | None = Field(examples=[None])
    page: PageRef | None = Field(description="The best page, which is not live yet")


class CoveragePoint(BaseModel):
    """Coverage at the end of a day."""

    day: date
    required: int = Field(description="Organisations that had to keep a page", examples=[1870])
    exempt: int = Field(examples=[34])
    covered: int = Field(description="With a verified page", examples=[1702])
    live: int = Field(description="With a live page", examples=[1552])
    covered_share: CoverageShare
    live_share: CoverageShare

    @classmethod
    def counted(cls, day: date, counts: Mapping[str, int]) -> Self:
        """Return the model with these counts and their shares."""
        return cls(
            day=day,
            covered_share=_share(counts["covered"], counts["required"]),
            live_share=_share(counts["live"], counts["required"]),
            **counts,
        )
