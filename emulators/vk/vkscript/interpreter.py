"""Execute a VKScript tree: values are JSON values, API calls are passed to a callback."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.vk.vkscript.parser import Node
from emulators.vk.vkscript.values import ScriptError, apply_operator, call_method, get_member, is_truthy, to_number

ApiCall = Callable[[str, dict[str, Any]], Any]


@dataclass
class Limits:
    """Limits of one script; 0 means no limit."""

    calls: int = 25
    operations: int = 1_000


@dataclass
class Interpreter:
    """One run of a script; `names` are its initial variables."""

    api: ApiCall
    limits: Limits
    names: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    operations: int = 0
    result: Any = None

    def run(self, program: list[Node]) -> Any:
        """Run the script and return its value; raises `ScriptError` for a runtime error."""
        try:
            self._all(program)
        except (RecursionError, ValueError) as error:
            # ValueError: the value contains itself.
            raise ScriptError("Nested too deeply") from error
        return self.result

    def _all(self, statements: list[Node]) -> bool:
        return any(self._do(statement) for statement in statements)

    def _do(self, node: Node) -> bool:
        """Execute a statement and return whether it was a `return`."""
        if node[0] == "block":
            return self._all(node[1])
        self._step()
        match node:
            case ("return", value):
                self.result = self._value(value)
                return True
            case ("if", condition, yes, no):
                return self._do(yes if is_truthy(self._value(condition)) else no)
            case ("while", condition, body):
                while is_truthy(self._value(condition)):
                    self._step()
                    if self._do(body):
                        return True
            case ("set", target, value):
                self._set(target, self._value(value))
            case ("delete", target):
                self._delete(target)
            case ("do", value):
                self._value(value)
        return False

    def _step(self) -> None:
        self.operations += 1
        if self.limits.operations and self.operations > self.limits.operations:
            raise ScriptError("Too many operations")

    def _value(self, node: Node) -> Any:
        return _EVALUATE[node[0]](self, *node[1:])

    def _constant(self, value: Any) -> Any:
        return value

    def _named(self, name: str) -> Any:
        if name not in self.names:
            raise ScriptError(f"Unknown variable {name}")
        return self.names[name]

    def _list(self, items: list[Node]) -> list[Any]:
        return [self._value(item) for item in items]

    def _object(self, pairs: list[tuple[str, Node]]) -> dict[str, Any]:
        return {key: self._value(value) for key, value in pairs}

    def _member(self, owner: Node, name: str) -> Any:
        return get_member(self._value(owner), name)

    def _index(self, owner: Node, key: Node) -> Any:
        return get_member(self._value(owner), self._value(key))

    def _each(self, owner: Node, name: str) -> Any:
        items = self._value(owner)
        return [get_member(item, name) for item in items] if isinstance(items, list) else None

    def _choice(self, condition: Node, yes: Node, no: Node) -> Any:
        return self._value(yes if is_truthy(self._value(condition)) else no)

    def _unary(self, sign: str, operand: Node) -> Any:
        value = self._value(operand)
        if sign == "!":
            return not is_truthy(value)
        return -to_number(value) if sign == "-" else to_number(value)

    def _binary(self, sign: str, left: Node, right: Node) -> Any:
        self._step()
        first = self._value(left)
        if sign == "||":
            return first if is_truthy(first) else self._value(right)
        if sign == "&&":
            return self._value(right) if is_truthy(first) else first
        return apply_operator(sign, first, self._value(right))

    def _call(self, function: Node, arguments: list[Node]) -> Any:
        self._step()
        path = _api_path(function)
        values = self._list(arguments)
        if path is not None:
            return self._api(path, values)
        match function:
            case ("name", "parseInt"):
                return int(to_number(values[0] if values else None))
            case ("name", "parseDouble"):
                return to_number(values[0] if values else None)
            case ("member", owner, name):
                return call_method(self._value(owner), name, values)
        raise ScriptError("Not a function")

    def _api(self, path: str, values: list[Any]) -> Any:
        self.calls += 1
        if self.limits.calls and self.calls > self.limits.calls:
            raise ScriptError("Too many API calls")
        given = values[0] if values else None
        return self.api(path, given if isinstance(given, dict) else {})

    def _set(self, target: Node, value: Any) -> None:
        if target[0] == "name":
            self.names[target[1]] = value
            return
        owner, key = self._owner_and_key(target)
        if isinstance(owner, list) and isinstance(key, int) and 0 <= key <= len(owner):
            owner[key : key + 1] = [value]
        elif isinstance(owner, dict):
            owner[str(key)] = value
        else:
            raise ScriptError("Cannot set a property of this value")

    def _delete(self, target: Node) -> None:
        if target[0] == "name":
            self.names.pop(target[1], None)
            return
        owner, key = self._owner_and_key(target)
        if isinstance(owner, dict):
            owner.pop(str(key), None)
        elif isinstance(owner, list) and isinstance(key, int) and 0 <= key < len(owner):
            del owner[key]

    def _owner_and_key(self, target: Node) -> tuple[Any, Any]:
        owner = self._value(target[1])
        return owner, target[2] if target[0] == "member" else self._value(target[2])


_EVALUATE: dict[str, Callable[..., Any]] = {
    "value": Interpreter._constant,
    "name": Interpreter._named,
    "list": Interpreter._list,
    "object": Interpreter._object,
    "member": Interpreter._member,
    "index": Interpreter._index,
    "each": Interpreter._each,
    "choice": Interpreter._choice,
    "unary": Interpreter._unary,
    "binary": Interpreter._binary,
    "call": Interpreter._call,
}


def _api_path(function: Node) -> str | None:
    """Return `wall.get` for `API.wall.get`."""
    parts: list[str] = []
    node = function
    while node[0] == "member":
        parts.append(node[2])
        node = node[1]
    return ".".join(reversed(parts)) if node == ("name", "API") and parts else None
