"""Methods `groups.*`: communities and their Bots Long Poll."""

import json
from typing import Any

from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method
from emulators.vk.push.long_poll import EVENT_TYPES

_PERMISSIONS = {"photos": 4, "messages": 4_096, "wall": 8_192, "docs": 131_072, "manage": 262_144}


@method("groups.getById", "UGS")
def get_by_id(call: MethodCall) -> dict[str, Any]:
    """Return communities by id or short name; without both, the token's community.

    With a user token, `is_admin` of each community tells whether the person manages it.
    """
    names = call.list_param("group_ids") or call.list_param("group_id")
    if not names:
        if call.token.page is None:
            raise vk_error(100, "group_ids is undefined")
        names = [str(call.token.page)]
    fields = frozenset(call.list_param("fields"))
    groups = []
    for name in names[:500]:
        row = call.world.store.one("SELECT * FROM pages WHERE screen_name = ?", (name,))
        for prefix in ("", "club", "public"):
            number = name.removeprefix(prefix)
            if row is None and number.isascii() and number.isdigit():
                row = call.page(int(number[:18]))
        if row is not None:
            group = call.world.views.group(row, fields)
            if call.token.kind == "user":
                group["is_admin"] = int(call.token.manages(row["id"]))
            groups.append(group)
    if not groups:
        raise vk_error(100, "group_ids is invalid")
    return {"groups": groups, "profiles": []}


@method("groups.getLongPollServer", "UG")
def get_long_poll_server(call: MethodCall) -> dict[str, str]:
    """Return the long poll server: its URL, key and the event number to start from."""
    page = call.managed_page()
    row = call.page(page)
    if row is None or not row["lp_enabled"]:
        raise vk_error(100, "longpoll for this group is not enabled")
    return call.world.longpoll.server(page)


@method("groups.getLongPollSettings", "UG")
def get_long_poll_settings(call: MethodCall) -> dict[str, Any]:
    """Return whether long poll is enabled, and which events it delivers."""
    row = call.page(call.managed_page())
    assert row is not None
    return {
        "is_enabled": bool(row["lp_enabled"]),
        "api_version": row["lp_version"],
        "events": json.loads(row["lp_events"]),
    }


@method("groups.setLongPollSettings", "UG")
def set_long_poll_settings(call: MethodCall) -> int:
    """Enable or disable long poll and its single events; omitted settings stay unchanged."""
    page = call.managed_page()
    row = call.page(page)
    assert row is not None
    events = json.loads(row["lp_events"])
    events |= {name: int(call.flag(name)) for name in EVENT_TYPES if name in call.params}
    enabled = int(call.flag("enabled")) if "enabled" in call.params else row["lp_enabled"]
    version = call.text("api_version") or row["lp_version"]
    call.world.store.execute(
        "UPDATE pages SET lp_enabled = ?, lp_version = ?, lp_events = ? WHERE id = ?",
        (enabled, version, json.dumps(events), page),
    )
    return 1


@method("groups.getTokenPermissions", "G")
def get_token_permissions(call: MethodCall) -> dict[str, Any]:
    """Return the rights of the community's token."""
    permissions = [{"setting": setting, "name": name} for name, setting in _PERMISSIONS.items()]
    return {"mask": sum(_PERMISSIONS.values()), "permissions": permissions}
