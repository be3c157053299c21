"""url.*: what an address stands for."""

from typing import Any
from urllib.parse import urlsplit

from emulators.ok.call import Call, method


@method("url.getInfo")
def get_info(call: Call) -> dict[str, Any]:
    """Resolve an address by short name, `/group/ID` or `/group/ID/topic/ID`; type UNKNOWN otherwise."""
    address = call.text("url")
    parts = [part for part in urlsplit(address if "//" in address else f"//{address}").path.split("/") if part]
    world = call.world
    row = None
    match parts:
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
    return {"objectId": int(ident), "objectIdEncoded": int(ident) ^ 0x5A5A5A5A, "objectIdStr": ident, "type": kind}
