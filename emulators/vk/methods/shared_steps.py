"""Steps that several sections share: the requested wall, profiles in a response, errors for missing objects."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from emulators.common.errors import UnknownError
from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall
from emulators.vk.state.permissions import check_can_read_wall


def requested_wall(call: MethodCall) -> Row:
    """Return the community whose wall is requested; raises an error if the caller may not read it."""
    owner, domain = call.optional("owner_id"), call.text("domain")
    row = None
    if owner is not None:
        if owner > 0 and call.world.people.deactivated(owner):
            raise vk_error(18)
        row = call.page(-owner)
    elif domain:
        row = call.world.store.one("SELECT * FROM pages WHERE screen_name = ?", (domain,))
        for prefix in ("club", "public"):
            if row is None and domain.removeprefix(prefix).isdecimal():
                row = call.page(int(domain.removeprefix(prefix)[:18]))
    elif call.token.kind == "group" and call.token.page is not None:
        row = call.page(call.token.page)
    else:
        raise vk_error(100, "owner_id is undefined")
    if row is None:
        raise vk_error(100, "owner_id is invalid" if owner is not None else "domain is invalid")
    check_can_read_wall(row, insider=call.token.manages(row["id"]))
    return row


def extended_fields(call: MethodCall, rows: Iterable[Row], page: int | None = None) -> dict[str, Any]:
    """Return `profiles` and `groups` of the rows' authors and signers, if the call requests them."""
    if not call.flag("extended"):
        return {}
    ids = []
    for row in rows:
        ids.append(row["from_id"])
        if "signer_id" in row.keys() and row["signer_id"] is not None:  # noqa: SIM118
            ids.append(row["signer_id"])
    return call.world.views.owners([*ids, *([-page] if page is not None else [])])


@contextmanager
def mapping_unknown_errors() -> Iterator[None]:
    """Map missing objects to error 104."""
    try:
        yield
    except UnknownError as error:
        raise vk_error(104) from error
