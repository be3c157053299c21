"""Parse VKScript into a tree of tuples; the first element of a tuple is the kind of node."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

Node = tuple[Any, ...]


class CompileError(Exception):
    """Code that does not compile; the message contains the position."""


class Token(NamedTuple):
    """A token of the code and its position."""

    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_$][\w$]*)"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<sign>===|!==|==|!=|<=|>=|&&|\|\||@\.|\+=|-=|[-+*/%<>=!?:;,.(){}\[\]])",
    re.DOTALL,
)
_BINARY = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "===": 3,
    "!==": 3,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_CONSTANTS = {"true": True, "false": False, "null": None, "undefined": None}
_WORDS = {"var", "if", "else", "while", "return", "delete", *_CONSTANTS}


def parse(code: str) -> list[Node]:
    """Return the statements of the code; raises `CompileError`."""
    try:
        return _Parser(code).program()
    except RecursionError as error:
        raise CompileError("syntax error, nested too deeply in line 1 [1:1]") from error


class _Parser:
    def __init__(self, code: str) -> None:
        self._code = code
        self._tokens = self._split()
        self._position = 0

    def program(self) -> list[Node]:
        statements = []
        while self._now.kind != "end":
            statements.append(self._statement())
        return statements

    # Tokens

    def _split(self) -> list[Token]:
        tokens, at = [], 0
        while at < len(self._code):
            match = _TOKEN.match(self._code, at)
            if match is None:
                raise self._error(Token("?", self._code[at], at))
            if match.lastgroup != "space":
                tokens.append(Token(match.lastgroup or "", match.group(), at))
            at = match.end()
        return [*tokens, Token("end", "end of code", at)]

    @property
    def _now(self) -> Token:
        return self._tokens[self._position]

    def _take(self, *texts: str) -> bool:
        """Consume the current token if it is one of these signs or keywords, and return whether it was."""
        if self._now.kind not in {"sign", "name"} or self._now.text not in texts:
            return False
        self._position += 1
        return True

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._error(self._now)

    def _name(self) -> str:
        token = self._now
        if token.kind != "name":
            raise self._error(token)
        self._position += 1
        return token.text

    def _error(self, token: Token) -> CompileError:
        line = self._code.count("\n", 0, token.at) + 1
        column = token.at - self._code.rfind("\n", 0, token.at)
        return CompileError(f"syntax error, unexpected '{token.text[:20]}' in line {line} [{line}:{column}]")

    # Statements

    def _statement(self) -> Node:
        starts: dict[str, Callable[[], Node]] = {
            ";": lambda: ("block", []),
            "{": self._block,
            "var": self._variables,
            "return": self._return,
            "if": self._if,
            "while": lambda: ("while", self._condition(), self._statement()),
            "delete": self._delete,
        }
        word = self._now.text
        return starts[word]() if word in starts and self._take(word) else self._assignment()

    def _block(self) -> Node:
        statements = []
        while not self._take("}"):
            statements.append(self._statement())
        return ("block", statements)

    def _return(self) -> Node:
        bare = self._now.kind == "end" or self._now.text in {";", "}"}
        value: Node = ("value", None) if bare else self._expression()
        self._end()
        return ("return", value)

    def _if(self) -> Node:
        condition, body = self._condition(), self._statement()
        return ("if", condition, body, self._statement() if self._take("else") else ("block", []))

    def _delete(self) -> Node:
        target = self._target(self._unary())
        self._end()
        return ("delete", target)

    def _condition(self) -> Node:
        self._need("(")
        condition = self._expression()
        self._need(")")
        return condition

    def _variables(self) -> Node:
        made: list[Node] = []
        while True:
            token, name = self._now, self._name()
            if name in _WORDS:
                raise self._error(token)
            made.append(("set", ("name", name), self._expression() if self._take("=") else ("value", None)))
            if not self._take(","):
                break
        self._end()
        return ("block", made)

    def _assignment(self) -> Node:
        left, sign = self._expression(), self._now.text
        if self._take("=", "+=", "-="):
            target, right = self._target(left), self._expression()
            self._end()
            return ("set", target, right if sign == "=" else ("binary", sign[0], left, right))
        self._end()
        return ("do", left)

    def _target(self, node: Node) -> Node:
        if node[0] not in {"name", "member", "index"}:
            raise self._error(self._now)
        return node

    def _end(self) -> None:
        # The last statement of the script or of a block may lack its semicolon.
        if self._now.kind != "end" and self._now.text != "}":
            self._need(";")

    # Expressions

    def _expression(self) -> Node:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        yes = self._expression()
        self._need(":")
        return ("choice", condition, yes, self._expression())

    def _binary(self, least: int) -> Node:
        left = self._unary()
        while self._now.kind == "sign" and _BINARY.get(self._now.text, 0) > least:
            sign = self._now.text
            self._position += 1
            left = ("binary", sign, left, self._binary(_BINARY[sign]))
        return left

    def _unary(self) -> Node:
        for sign in ("!", "-", "+"):
            if self._take(sign):
                return ("unary", sign, self._unary())
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        while True:
            if self._take("."):
                node = ("member", node, self._name())
            elif self._take("@."):
                node = ("each", node, self._name())
            elif self._take("["):
                node = ("index", node, self._expression())
                self._need("]")
            elif self._take("("):
                node = ("call", node, self._list(")"))
            else:
                return node

    def _primary(self) -> Node:
        token = self._now
        self._position += 1
        if token.kind in {"number", "text", "name"}:
            return self._word(token)
        if token.kind == "sign" and token.text == "(":
            node = self._expression()
            self._need(")")
            return node
        if token.kind == "sign" and token.text == "[":
            return ("list", self._list("]"))
        if token.kind == "sign" and token.text == "{":
            return ("object", self._pairs())
        raise self._error(token)

    def _word(self, token: Token) -> Node:
        if token.kind == "number":
            if token.text.isdigit() and len(token.text) < 19:
                return ("value", int(token.text))
            value = float(token.text)
            if not math.isfinite(value):
                raise self._error(token)
            return ("value", int(value) if value.is_integer() else value)
        if token.kind == "text":
            return ("value", self._text(token))
        if token.text in _CONSTANTS:
            return ("value", _CONSTANTS[token.text])
        if token.text in _WORDS:
            raise self._error(token)
        return ("name", token.text)

    def _list(self, end: str) -> list[Node]:
        items: list[Node] = []
        while not self._take(end):
            if items:
                self._need(",")
                if self._take(end):
                    break
            items.append(self._expression())
        return items

    def _pairs(self) -> list[tuple[str, Node]]:
        pairs: list[tuple[str, Node]] = []
        while not self._take("}"):
            if pairs:
                self._need(",")
                if self._take("}"):
                    break
            token = self._now
            if token.kind not in {"name", "text", "number"}:
                raise self._error(token)
            self._position += 1
            self._need(":")
            key = self._text(token) if token.kind == "text" else token.text
            pairs.append((key, self._expression()))
        return pairs

    def _text(self, token: Token) -> str:
        inner = re.sub(r"\\(.)|\"", _json_escape, token.text[1:-1], flags=re.DOTALL)
        try:
            text: str = json.loads(f'"{inner}"', strict=False)
            # A lone surrogate cannot be encoded in UTF-8.
            text.encode()
        except ValueError as error:
            raise self._error(token) from error
        return text


def _json_escape(match: re.Match[str]) -> str:
    """Return an escape of the script as a JSON escape; an unknown escape becomes its letter."""
    letter = match.group(1)
    if letter is None:
        return '\\"'
    return match.group() if letter in '"\\/bfnrtu' else letter
