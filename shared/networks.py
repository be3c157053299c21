"""The social networks by name: the one list that every service's schemas check against."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from typing_extensions import TypeAliasType


@dataclass(frozen=True, slots=True)
class About:
    """What is to be known of a network without speaking to it. `page_url` holds `{id}`."""

    title: str
    page_url: str


NETWORKS: dict[str, About] = {
    "vk": About("ВКонтакте", "https://vk.com/club{id}"),
    "ok": About("Одноклассники", "https://ok.ru/group/{id}"),
}


def _known(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"is none of {', '.join(NETWORKS)}")
    return name


NetworkName = TypeAliasType(
    "NetworkName",
    Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(NETWORKS)})],
)
