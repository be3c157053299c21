"""Values of VKScript and operations on them."""

import json
import math
import operator
from collections.abc import Callable
from typing import Any

MAX_NUMBER = 1 << 63
MAX_LENGTH = 5 * 1024 * 1024


class ScriptError(Exception):
    """A runtime error of a script."""


def is_truthy(value: Any) -> bool:
    """Return whether a value counts as true; lists and objects always do, even if empty."""
    return bool(value) or isinstance(value, list | dict)


def to_number(value: Any) -> int | float:
    """Return a value as a number; 0 if it is not numeric."""
    if isinstance(value, int | float):
        return int(value) if isinstance(value, bool) else value
    try:
        made = float(value)
    except (TypeError, ValueError):
        return 0
    if not math.isfinite(made):
        return 0
    return int(made) if made.is_integer() else made


def to_text(value: Any) -> str:
    """Return a value as text, for concatenation and API parameters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return ",".join(to_text(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def get_member(owner: Any, key: Any) -> Any:
    """Return a property, an item or a length; None if it does not exist."""
    if isinstance(owner, dict):
        return owner.get(to_text(key))
    if isinstance(owner, list | str):
        if key == "length":
            return len(owner)
        if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(owner):
            return owner[key]
    return None


def apply_operator(sign: str, left: Any, right: Any) -> Any:
    """Return the result of a binary operation."""
    if sign in _EQUALITY:
        return _EQUALITY[sign](left, right)
    if sign == "+":
        return _add(left, right)
    if sign in _ORDER:
        both_texts = isinstance(left, str) and isinstance(right, str)
        return _ORDER[sign](left, right) if both_texts else _ORDER[sign](to_number(left), to_number(right))
    first, second = to_number(left), to_number(right)
    if sign in "/%" and not second:
        raise ScriptError("Division by zero")
    result = _ARITHMETIC[sign](first, second)
    if not -MAX_NUMBER < result < MAX_NUMBER:
        raise ScriptError("The number is out of range")
    return int(result) if isinstance(result, float) and result.is_integer() else result


def call_method(owner: Any, name: str, values: list[Any]) -> Any:
    """Call a method of a list or of a text and return its result."""
    methods = _TEXT_METHODS if isinstance(owner, str) else _LIST_METHODS
    if not isinstance(owner, str | list):
        raise ScriptError(f"Method {name} requires an array")
    if name not in methods:
        raise ScriptError(f"Unknown method {name}")
    try:
        return methods[name](owner, *values)
    except TypeError as error:
        raise ScriptError(f"Wrong arguments of method {name}") from error


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, list) and isinstance(right, list):
        return _short(left + right)
    if isinstance(left, str | list | dict) or isinstance(right, str | list | dict):
        return _short(to_text(left) + to_text(right))
    return to_number(left) + to_number(right)


def _short(value: Any) -> Any:
    # Without this limit, a loop that doubles a value could exhaust memory within the operation limit.
    if len(value) > MAX_LENGTH:
        raise ScriptError("The value is too long")
    return value


def _same(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    if isinstance(left, str) != isinstance(right, str):
        return to_text(left) == to_text(right)
    return bool(left == right)


def _identical(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


_EQUALITY: dict[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "===": _identical,
    "!==": lambda left, right: not _identical(left, right),
}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}


def _slice(owner: Any, start: Any = 0, end: Any = None) -> Any:
    return owner[int(to_number(start)) : None if end is None else int(to_number(end))]


def _push(owner: list[Any], *items: Any) -> int:
    owner.extend(items)
    return len(owner)


def _unshift(owner: list[Any], *items: Any) -> int:
    owner[:0] = items
    return len(owner)


def _splice(owner: list[Any], start: Any, count: Any = None, *items: Any) -> list[Any]:
    begin = int(to_number(start))
    end = len(owner) if count is None else begin + int(to_number(count))
    cut = owner[begin:end]
    owner[begin:end] = items
    return cut


def _index(owner: list[Any], item: Any) -> int:
    return next((index for index, other in enumerate(owner) if _same(item, other)), -1)


def _concat(owner: list[Any], *more: Any) -> list[Any]:
    parts = [part if isinstance(part, list) else [part] for part in more]
    return list(_short([*owner, *(item for part in parts for item in part)]))


def _substr(owner: str, start: Any, length: Any = None) -> str:
    return owner[int(to_number(start)) :][: None if length is None else int(to_number(length))]


_LIST_METHODS: dict[str, Callable[..., Any]] = {
    "push": _push,
    "unshift": _unshift,
    "pop": lambda owner: owner.pop() if owner else None,
    "shift": lambda owner: owner.pop(0) if owner else None,
    "slice": _slice,
    "splice": _splice,
    "indexOf": _index,
    "join": lambda owner, sign=",": to_text(sign).join(to_text(item) for item in owner),
    "concat": _concat,
}
_TEXT_METHODS: dict[str, Callable[..., Any]] = {
    "slice": _slice,
    "substring": _slice,
    "substr": _substr,
    "split": lambda owner, sign: owner.split(to_text(sign)) if sign else list(owner),
    "indexOf": lambda owner, part: owner.find(to_text(part)),
    "toLowerCase": lambda owner: owner.lower(),
    "toUpperCase": lambda owner: owner.upper(),
}
