"""Methods `groups.*`: servers of the Callback API."""

import json
import re
from typing import Any

from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method
from emulators.vk.push.callback_servers import CALLBACK_TYPES
from emulators.vk.state.people import STAFF_ID

_VERSION = re.compile(r"5\.\d{1,3}")


@method("groups.addCallbackServer", "UG")
def add_callback_server(call: MethodCall) -> dict[str, int]:
    """Register a server and request its confirmation."""
    page = call.managed_page()
    creator = call.token.user_id or STAFF_ID
    url, title, secret = call.text("url"), call.text("title"), call.text("secret_key")
    return {"server_id": call.world.callbacks.add(page, url, title, secret, creator)}


@method("groups.editCallbackServer", "UG")
def edit_callback_server(call: MethodCall) -> int:
    """Change a server and request its confirmation again."""
    page, number = call.managed_page(), call.number("server_id")
    secret = call.text("secret_key")
    call.world.callbacks.change(page, number, call.text("url"), call.text("title"), secret)
    return 1


@method("groups.deleteCallbackServer", "UG")
def delete_callback_server(call: MethodCall) -> int:
    """Delete a server."""
    call.world.callbacks.remove(call.managed_page(), call.number("server_id"))
    return 1


@method("groups.getCallbackServers", "UG")
def get_callback_servers(call: MethodCall) -> dict[str, Any]:
    """Return the servers of a community and their states."""
    wanted = set(call.integers("server_ids"))
    rows = [row for row in call.world.callbacks.servers(call.managed_page()) if not wanted or row["id"] in wanted]
    items = [
        {
            "id": row["id"],
            "title": row["title"],
            "creator_id": row["creator_id"],
            "url": row["url"],
            "secret_key": row["secret"],
            "status": row["status"],
        }
        for row in rows
    ]
    return {"count": len(items), "items": items}


@method("groups.getCallbackConfirmationCode", "UG")
def get_callback_confirmation_code(call: MethodCall) -> dict[str, str]:
    """Return the code that a server must return for a confirmation request."""
    return {"code": call.world.callbacks.code(call.managed_page())}


@method("groups.getCallbackSettings", "UG")
def get_callback_settings(call: MethodCall) -> dict[str, Any]:
    """Return the API version and the enabled events of a server; without an id, of the first server."""
    row = _servers(call)[0]
    return {"api_version": row["version"], "events": json.loads(row["events"])}


@method("groups.setCallbackSettings", "UG")
def set_callback_settings(call: MethodCall) -> int:
    """Enable or disable single events of one server, by default of all; omitted events stay unchanged."""
    version = call.text("api_version")
    if version and not _VERSION.fullmatch(version):
        raise vk_error(100, "api_version is invalid")
    named = {name: int(call.flag(name)) for name in CALLBACK_TYPES if name in call.params}
    for row in _servers(call):
        call.world.callbacks.set_events(row["id"], version or row["version"], json.loads(row["events"]) | named)
    return 1


def _servers(call: MethodCall) -> list[Row]:
    page, number = call.managed_page(), call.optional("server_id")
    found = call.world.callbacks.servers(page)
    if number:
        found = [row for row in found if row["id"] == number]
    if not found:
        raise vk_error(104)
    return found
