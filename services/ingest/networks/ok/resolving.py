"""What an address in OK stands for: one call for an id, two for a short name."""

from typing import Any

from services.ingest.networks.calls import CallError, CallLost, Treatment
from services.ingest.networks.lookup_port import Community, NoCommunity, groups_in, words
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_errors import NETWORK

FIELDS = "uid,name,shortname,status,disable_reason"
DEAD = {"DISABLED", "BLOCKED", "DELETED"}


async def by_id(client: OkClient, external_id: str) -> Community:
    """The group with this id. Raises `NoCommunity`, and what a call raises."""
    answer = await _read(client, "group.getInfo", uids=external_id, fields=FIELDS)
    for raw in groups_in(answer, NETWORK, "group.getInfo"):
        if str(raw.get("uid")) != external_id:
            continue
        if str(raw.get("status") or "").upper() in DEAD or raw.get("disable_reason"):
            raise NoCommunity("The group is deleted or blocked")
        name = words(raw.get("name"))
        if name is None:
            raise CallLost(NETWORK, "group.getInfo", "no name in the answer")
        return Community(external_id=external_id, name=name, screen_name=words(raw.get("shortname")))
    raise NoCommunity(f"Одноклассники have no group with the id {external_id}")


async def by_name(client: OkClient, name: str) -> Community:
    """The group with this short name. Raises as `by_id` does."""
    answer = await _read(client, "url.getInfo", url=f"https://ok.ru/{name}")
    told = answer if isinstance(answer, dict) else {}
    kind, number = str(told.get("type", "UNKNOWN")).upper(), told.get("objectIdStr") or told.get("objectId")
    if kind == "PROFILE":
        raise NoCommunity(f"«{name}» is a person's page, not a group")
    if kind != "GROUP" or not number:
        raise NoCommunity(f"Одноклассники know no group under the name «{name}»")
    return await by_id(client, str(number))


async def _read(client: OkClient, method: str, **params: Any) -> Any:
    try:
        return await client.read(method, **params)
    except CallError as error:
        if error.treatment is not Treatment.GONE:
            raise
        return []
