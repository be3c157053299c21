"""The social networks by name; the schemas of all services validate against this list."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from typing_extensions import TypeAliasType


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """Static information about a network; `page_url` contains `{id}`. `short_title` heads columns of tables.

    `max_photos`: how many photos a reply may have, by its kind (comment, message); an absent kind allows none.
    `changeable`: the kinds of replies that can be edited and deleted after they were published; `edits_photos`:
    whether an edit may change their photos.
    """

    title: str
    page_url: str
    short_title: str | None = None
    max_photos: Mapping[str, int] = field(default_factory=dict)
    changeable: frozenset[str] = frozenset()
    edits_photos: bool = False


NETWORKS: dict[str, NetworkInfo] = {
    # Neither network documents a limit for comments: these are the limits of their sites.
    "vk": NetworkInfo(
        "ВКонтакте",
        "https://vk.com/club{id}",
        "ВК",
        {"comment": 2, "message": 10},
        frozenset({"comment", "message"}),
        edits_photos=True,
    ),
    # A direct message in OK accepts a photo only as the URL of a public picture, and cannot be edited or deleted
    # through the API. Editing a comment changes only its text.
    "ok": NetworkInfo("Одноклассники", "https://ok.ru/group/{id}", "ОК", {"comment": 1}, frozenset({"comment"})),
}
# The most photos that any network accepts in one reply.
MAX_PHOTOS = max(most for network in NETWORKS.values() for most in network.max_photos.values())


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
