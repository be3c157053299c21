"""Methods `wall.*`: posts."""

import re
from typing import Any

from emulators.common.errors import RefusedError
from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method
from emulators.vk.methods.shared_steps import extended_fields, mapping_unknown_errors, requested_wall
from emulators.vk.state.permissions import check_can_read_wall

_FILTERS = {
    "all": "post_type = 'post'",
    "owner": "post_type = 'post' AND from_id < 0",
    "others": "post_type = 'post' AND from_id > 0",
    "suggests": "post_type = 'suggest'",
    "postponed": "post_type = 'postpone'",
    "archived": "0",
    "donut": "0",
}
MAX_COUNT = 100
_POST = re.compile(r"(-?[0-9]{1,18})_([0-9]{1,18})(?:_\w*)?")


@method("wall.get", "US")
def get(call: MethodCall) -> dict[str, Any]:
    """Return posts of a wall, newest first."""
    page = requested_wall(call)
    name = call.text("filter", "all") or "all"
    if name not in _FILTERS:
        raise vk_error(100, "filter is invalid")
    if name in {"suggests", "postponed"} and not call.token.manages(page["id"]):
        raise vk_error(15, "no access to this filter")
    count = min(call.number("count", 20, least=0), MAX_COUNT, call.world.settings.wall_page_size)
    offset = call.number("offset", 0, least=0)
    where = f"page = ? AND NOT deleted AND {_FILTERS[name]}"
    store = call.world.store
    rows = store.all(
        f"SELECT * FROM posts WHERE {where} ORDER BY id DESC LIMIT ? OFFSET ?",  # noqa: S608
        (page["id"], count, offset),
    )
    answer = {
        "count": store.value(f"SELECT count(*) FROM posts WHERE {where}", (page["id"],)),  # noqa: S608
        "items": [call.world.views.post(row) for row in rows],
    }
    return answer | extended_fields(call, rows, page["id"])


@method("wall.getById", "US")
def get_by_id(call: MethodCall) -> dict[str, Any]:
    """Return posts by id; missing posts are left out."""
    names = call.list_param("posts")
    if not names:
        raise vk_error(100, "posts is undefined")
    rows = []
    for name in names[:MAX_COUNT]:
        # An access key may follow the owner's and the post's numbers.
        match = _POST.fullmatch(name)
        if match is None:
            raise vk_error(100, "posts is invalid")
        row = call.world.wall.post(-int(match[1]), int(match[2]))
        if row is not None and _shown(call, row):
            rows.append(row)
    answer: dict[str, Any] = {"items": [call.world.views.post(row) for row in rows]}
    return answer | extended_fields(call, rows)


@method("wall.post", "U")
def post(call: MethodCall) -> dict[str, Any]:
    """Publish a post on a community's wall, as the person or (`from_group`) as the community."""
    page = requested_wall(call)
    author = call.token.user_id or 0
    if call.flag("from_group"):
        if not call.token.manages(page["id"]):
            raise vk_error(214, "no access to post as the group")
        author = -page["id"]
    guid = call.text("guid")
    key = f"post:{author}:{guid}"
    known = call.world.get_deduplicated(page["id"], key) if guid else None
    if known is None:
        with call.world.store.transaction():
            known = call.world.wall.add_post(
                page, author, call.text("message"), call.list_param("attachments"), by_api=True
            )
            if guid:
                call.world.save_deduplicated(page["id"], key, known)
    return {"post_id": known}


@method("wall.edit", "U")
def edit(call: MethodCall) -> dict[str, Any]:
    """Edit an own post, or any post on the wall of a community that the person manages; nothing is pushed."""
    row = _own_post(call)
    given = "attachments" in call.params
    text = call.text("message") if "message" in call.params else row["text"]
    with mapping_unknown_errors():
        call.world.wall.edit(row["page"], row["id"], text, call.list_param("attachments") if given else None)
    return {"post_id": row["id"]}


@method("wall.delete", "U")
def delete(call: MethodCall) -> int:
    """Delete a post that `wall.edit` may edit; nothing is pushed."""
    row = _own_post(call)
    with mapping_unknown_errors():
        call.world.wall.delete(row["page"], row["id"], call.token.user_id or 0)
    return 1


def _own_post(call: MethodCall) -> Row:
    page = requested_wall(call)["id"]
    row = call.world.wall.post(page, call.number("post_id", least=1))
    if row is None:
        raise vk_error(104)
    if row["from_id"] != call.token.user_id and not call.token.manages(page):
        raise vk_error(210)
    return row


def _shown(call: MethodCall, post: Row) -> bool:
    """Return whether the caller may see this post when it is requested by id."""
    insider = call.token.manages(post["page"])
    page = call.page(post["page"])
    assert page is not None
    try:
        check_can_read_wall(page, insider=insider)
    except RefusedError:
        if call.world.settings.hidden_posts == "refused":
            raise
        return False
    return insider or post["post_type"] != "suggest"
