"""Convert ids that the control API gets as text to numbers."""

from emulators.common.errors import BadInputError

BOARD = "board"
"""Prefix of the thread of a topic; the topic's number follows it."""


def integer(field: str, value: str) -> int:
    """Return a VK id as a number; raises `BadInputError` for this field if the text is not an id."""
    try:
        number = int(value)
    except ValueError as error:
        raise BadInputError(field, "VK ids are numbers") from error
    if abs(number) >= 1 << 62:
        raise BadInputError(field, "the number is too big for an id")
    return number


def optional(field: str, value: str | None) -> int | None:
    """Return a VK id as a number; None for None."""
    return None if value is None else integer(field, value)


def topic_of(thread: str | None) -> int | None:
    """Return the topic's id of a thread such as `board7`; None for any other thread."""
    if thread is None or not thread.startswith(BOARD):
        return None
    return integer("thread", thread.removeprefix(BOARD))
