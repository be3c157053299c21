"""url.*: resolves addresses to objects of the network."""

from typing import Any
from urllib.parse import urlsplit

from emulators.ok.rest_call import RestCall, method


@method("url.getInfo")
def get_info(call: RestCall) -> dict[str, Any]:
    """Resolve a short name, `/group/ID`, `/group/ID/topic/ID` or `/profile/ID`; type UNKNOWN otherwise."""
    address = call.text("url")
    parts = [part for part in urlsplit(address if "//" in address else f"//{address}").path.split("/") if part]
    world = call.world
    row = None
    match parts:
        case ["profile", uid, *_] if world.person(uid) is not None and world.rules.person(uid) != "deleted":
            return _found(uid, "PROFILE")
        case ["group", uid, *_]:
            row = world.page_row(uid)
        case [name, *_]:
            row = world.page_row(name) or world.page_by_name(name)
    if row is None:
        return {"type": "UNKNOWN"}
    ident, kind = row["uid"], "GROUP"
    if "topic" in parts[:-1]:
        ident, kind = parts[parts.index("topic") + 1], "GROUP_TOPIC"
        topic = world.discussions.topic(ident)
        if topic["page"] != row["uid"]:
            return {"type": "UNKNOWN"}
    return _found(ident, kind)


def _found(ident: str, kind: str) -> dict[str, Any]:
    return {"objectId": int(ident), "objectIdEncoded": int(ident) ^ 0x5A5A5A5A, "objectIdStr": ident, "type": kind}
