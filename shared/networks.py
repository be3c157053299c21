"""The social networks by name; the schemas of all services validate against this list."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from typing_extensions import TypeAliasType


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """Static information about a network; `page_url` contains `{id}`. `short_title` heads columns of tables."""

    title: str
    page_url: str
    short_title: str | None = None


NETWORKS: dict[str, NetworkInfo] = {
    "vk": NetworkInfo("ВКонтакте", "https://vk.com/club{id}", "ВК"),
    "ok": NetworkInfo("Одноклассники", "https://ok.ru/group/{id}", "ОК"),
}


def _validate_network_name(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"must be one of {', '.join(NETWORKS)}")
    return name


NetworkName = TypeAliasType(
    "NetworkName",
    Annotated[
        str, AfterValidator(_validate_network_name), WithJsonSchema({"type": "string", "enum": list(NETWORKS)})
    ],
)
