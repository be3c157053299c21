"""Messages: numbering, idempotency, permission to write, conversations."""

import pytest

from emulators.common.errors import RefusedError, UnknownError
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.state.conversations import FIRST_MESSAGE
from emulators.vk.state.tokens import check_kind
from tests.unit.emulators.vk.test_walls import call

PEER = 700_000_003


def write(world: EmulatedVk, text: str, author: int = PEER) -> int:
    """Write to the page as a citizen; return the message's id."""
    number: int = world.citizen_writes(page="school1", kind="message", text=text, author=str(author))["id"]
    return number


def test_message_with_a_repeated_random_id_is_sent_once(world: EmulatedVk) -> None:
    write(world, "Вопрос")
    first = call(world, "messages.send", "group", peer_id=PEER, random_id=5, message="Ответ")
    assert call(world, "messages.send", "group", peer_id=PEER, random_id=5, message="Ответ") == first
    unchecked = [call(world, "messages.send", "group", peer_id=PEER, random_id=0, message="Да") for _ in range(2)]
    assert len({first, *unchecked}) == 3
    assert [answer["text"] for answer in world.published_replies()] == ["Ответ", "Да", "Да"]


def test_message_to_user_who_never_wrote_is_rejected(world: EmulatedVk) -> None:
    with pytest.raises(RefusedError) as caught:
        call(world, "messages.send", "group", peer_id=PEER, random_id=1, message="Здравствуйте")
    assert caught.value.code == 901


def test_messages_are_numbered_by_page_and_by_conversation(world: EmulatedVk) -> None:
    first, second = write(world, "Раз"), write(world, "Два", PEER + 1)
    third = write(world, "Три")
    assert [first, second, third] == [FIRST_MESSAGE + 1, FIRST_MESSAGE + 2, FIRST_MESSAGE + 3]
    items = call(world, "messages.getById", "group", peer_id=PEER, cmids="1,2,9")["items"]
    assert [(item["id"], item["conversation_message_id"]) for item in items] == [(first, 1), (third, 2)]


def test_conversations_are_filtered_by_unread_and_unanswered(world: EmulatedVk) -> None:
    write(world, "Раз")
    write(world, "Два", PEER + 1)
    world.community_writes(page="school1", thread=str(PEER), text="Ответ")
    listed = call(world, "messages.getConversations", "group")
    assert [item["conversation"]["peer"]["id"] for item in listed["items"]] == [PEER, PEER + 1]
    assert listed["unread_count"] == 1
    for name in ("unread", "unanswered"):
        found = call(world, "messages.getConversations", "group", filter=name)["items"]
        assert [item["conversation"]["peer"]["id"] for item in found] == [PEER + 1]


def test_history_is_read_in_both_directions(world: EmulatedVk) -> None:
    numbers = [write(world, f"Текст {number}") for number in range(5)]

    def ids(**params: object) -> list[int]:
        found = call(world, "messages.getHistory", "group", peer_id=PEER, **params)
        return [item["id"] for item in found["items"]]

    assert ids() == numbers[::-1]
    assert ids(rev=1, count=2, offset=1) == numbers[1:3]
    assert ids(start_message_id=numbers[2], count=2) == [numbers[2], numbers[1]]
    world.delete(page="school1", id=str(numbers[4]))
    assert ids(count=1) == [numbers[3]]


def test_staff_cannot_write_without_a_thread(world: EmulatedVk) -> None:
    with pytest.raises(UnknownError):
        world.community_writes(page="school1", thread=str(PEER), text="Кому?")


def test_too_long_message_is_error_914(world: EmulatedVk) -> None:
    with pytest.raises(RefusedError) as caught:
        write(world, "я" * 4_097)
    assert caught.value.code == 914


@pytest.mark.parametrize(
    ("kind", "allowed", "code"),
    [("group", "user", 27), ("service", "group", 28), ("user", "group", 27)],
)
def test_wrong_kind_of_token_is_refused(world: EmulatedVk, kind: str, allowed: str, code: int) -> None:
    token = next(token for token in world.token_store.active() if token.kind == kind)
    with pytest.raises(RefusedError) as caught:
        check_kind(token, frozenset([allowed]))  # type: ignore[list-item]
    assert caught.value.code == code
