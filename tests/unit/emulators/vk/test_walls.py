"""Walls: threads, deleted comments, pagination, idempotency keys, rejections."""

from typing import Any

import pytest

from emulators.common.errors import BadInputError, RefusedError, UnknownError
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.methods import METHODS, MethodCall

PAGE = 200_000_001
POST = 1


def call(world: EmulatedVk, method: str, kind: str = "user", /, **params: object) -> Any:
    """Call an API method directly, without HTTP, with a token of the given kind."""
    token = next(token for token in world.token_store.active() if token.kind == kind)
    return METHODS[method].handler(MethodCall(world, token, {key: str(value) for key, value in params.items()}))


def comment(world: EmulatedVk, text: str, reply_to: int | None = None) -> int:
    """Comment under the first post as a citizen; return the comment's id."""
    answer = world.citizen_writes(
        page="school1",
        kind="comment",
        text=text,
        author="700000005",
        in_reply_to=None if reply_to is None else str(reply_to),
    )
    assert answer["thread"] == POST
    number: int = answer["id"]
    return number


def test_posts_and_comments_share_one_id_sequence(world: EmulatedVk) -> None:
    first = comment(world, "Раз")
    post = world.community_posts(page="school1", text="Новость")
    assert (first, post["id"]) == (POST + 1, POST + 2)


def test_reply_to_a_reply_stays_in_the_thread_of_the_root(world: EmulatedVk) -> None:
    root = comment(world, "Корень")
    reply = comment(world, "Ответ", root)
    deep = comment(world, "Ответ на ответ", reply)
    item = call(world, "wall.getComment", owner_id=-PAGE, comment_id=deep)["items"][0]
    assert item["parents_stack"] == [root]
    assert (item["reply_to_comment"], item["reply_to_user"]) == (reply, 700_000_005)


def test_deleted_comment_remains_only_while_it_has_replies(world: EmulatedVk) -> None:
    lone, root = comment(world, "Одинокий"), comment(world, "Корень")
    reply = comment(world, "Ответ", root)
    for number in (lone, root):
        world.delete(page="school1", id=str(number))
    where = {"owner_id": -PAGE, "post_id": POST, "thread_items_count": 10}
    answer = call(world, "wall.getComments", **where)
    assert (answer["count"], answer["current_level_count"]) == (1, 1)
    shell = answer["items"][0]
    assert set(shell) == {"id", "date", "parents_stack", "deleted", "thread"}
    assert [item["id"] for item in shell["thread"]["items"]] == [reply]
    world.delete(page="school1", id=str(reply))
    assert call(world, "wall.getComments", **where)["items"] == []


def test_paging_from_a_comment_accepts_a_negative_offset(world: EmulatedVk) -> None:
    numbers = [comment(world, f"Текст {number}") for number in range(30)]
    where = {"owner_id": -PAGE, "post_id": POST}
    assert len(call(world, "wall.getComments", **where)["items"]) == 10
    piece = call(world, "wall.getComments", **where, start_comment_id=numbers[9], offset=-2, count=4)
    assert [item["id"] for item in piece["items"]] == numbers[7:11]
    assert piece["real_offset"] == 7
    newest = call(world, "wall.getComments", **where, sort="desc", count=2)
    assert [item["id"] for item in newest["items"]] == [numbers[29], numbers[28]]


@pytest.mark.parametrize(
    "params",
    [{"thread_items_count": 11}, {"count": -1}, {"offset": -1}, {"start_comment_id": 999}, {"count": "много"}],
)
def test_invalid_paging_gets_error_100(world: EmulatedVk, params: dict[str, object]) -> None:
    with pytest.raises(RefusedError) as caught:
        call(world, "wall.getComments", owner_id=-PAGE, post_id=POST, **params)
    assert caught.value.code == 100


def test_same_guid_publishes_once(world: EmulatedVk) -> None:
    where = {"owner_id": -PAGE, "post_id": POST, "message": "Ответ"}
    first = call(world, "wall.createComment", "group", **where, guid="a")
    assert call(world, "wall.createComment", "group", **where, guid="a") == first
    assert call(world, "wall.createComment", "group", **where, guid="b") != first
    assert call(world, "wall.createComment", "group", **where) != first
    assert len(world.published_replies("school1")) == 3


def test_expired_guid_publishes_again(world: EmulatedVk) -> None:
    world.settings.idempotency_seconds = 0
    where = {"owner_id": -PAGE, "post_id": POST, "message": "Ответ", "guid": "a"}
    first = call(world, "wall.createComment", "group", **where)
    assert call(world, "wall.createComment", "group", **where) != first


def test_refused_comment_stores_neither_row_nor_key(world: EmulatedVk) -> None:
    where = {"owner_id": -PAGE, "post_id": POST, "guid": "a"}
    with pytest.raises(RefusedError):
        call(world, "wall.createComment", "group", **where, message="я" * 4_097)
    assert world.published_replies() == []
    call(world, "wall.createComment", "group", **where, message="я" * 4_096)
    assert len(world.published_replies()) == 1


def test_closed_commenting_is_error_213(world: EmulatedVk) -> None:
    world.wall.close_comments(PAGE, POST, closed=True)
    with pytest.raises(RefusedError) as caught:
        comment(world, "Можно?")
    assert caught.value.code == 213


def test_other_community_cannot_reply(world: EmulatedVk) -> None:
    other = world.create_page(name="Другая", screen_name="other")["id"]
    with pytest.raises(RefusedError) as caught:
        call(world, "wall.createComment", "group", owner_id=-other, post_id=1, message="Чужое")
    assert caught.value.code == 15


@pytest.mark.parametrize(
    ("wall", "filters"), [(1, {"all": 2, "owner": 1, "others": 1, "suggests": 0}), (2, {"all": 1, "suggests": 1})]
)
def test_wall_filters_count_their_posts(world: EmulatedVk, wall: int, filters: dict[str, int]) -> None:
    world.store.execute("UPDATE pages SET wall = ?", (wall,))
    world.citizen_writes(page="school1", kind="wall_post", text="От гражданина")
    counts = {name: call(world, "wall.get", owner_id=-PAGE, filter=name)["count"] for name in filters}
    assert counts == filters


def test_page_created_again_is_unchanged(world: EmulatedVk) -> None:
    again = world.create_page(name="Иначе", screen_name="school1")
    assert (again["id"], again["name"]) == (PAGE, "Школа № 1")
    assert len(world.tokens()) == 3
    assert call(world, "wall.get", owner_id=-PAGE)["count"] == 1


def test_unknown_page_thread_or_message_raises_an_error(world: EmulatedVk) -> None:
    with pytest.raises(UnknownError):
        world.citizen_writes(page="nobody", kind="comment", text="Кому?")
    with pytest.raises(UnknownError):
        world.citizen_writes(page="school1", kind="comment", text="Куда?", thread="77")
    with pytest.raises(UnknownError):
        world.edit(page="school1", id="77", text="Что?")
    with pytest.raises(UnknownError):
        world.delete(page="school1", id="1000077")
    with pytest.raises(BadInputError):
        world.edit(page="school1", id="abc", text="Что?")
