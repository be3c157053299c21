"""Pagination of lists by opaque cursors, which are valid only for the same path, filter and caller."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import BindParameter, ColumnElement, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from shared.api.query_parameters import PAGING_NAMES, refuse_unknown_parameters
from shared.auth.callers import CallerDep
from shared.auth.dependency_marks import Mark, marked
from shared.http.problems import FieldError, Invalid
from shared.settings import settings

MAX_LIMIT = 200

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` is absent on the last page."""

    items: list[T]
    next_cursor: str | None = Field(default=None, description="Send as `cursor` for the next page")


class TwoWayPage(Page[T], Generic[T]):
    """One page of a list that can also be read backward. `prev_cursor` is absent on the first page."""

    prev_cursor: str | None = Field(default=None, description="Send as `cursor` for the page before")


def _signature(payload: bytes, binding: str) -> bytes:
    key = settings().cursor_key.get_secret_value().encode()
    return hmac.new(key, binding.encode() + b"\n" + payload, hashlib.sha256).digest()[:12]


def encode_cursor(position: Sequence[Any], binding: str, *, backward: bool = False) -> str:
    """Return an opaque cursor that only the same caller with the same filter can use."""
    values = [value.isoformat() if isinstance(value, datetime) else value for value in position]
    values = [str(value) if isinstance(value, UUID) else value for value in values]
    payload = json.dumps({"before": values} if backward else values).encode()
    return base64.urlsafe_b64encode(_signature(payload, binding) + payload).decode().rstrip("=")


def decode_cursor(cursor: str, binding: str) -> list[Any]:
    """Return the position in a cursor. Raise `Invalid` naming `query/cursor` if it is not valid for this list."""
    return _decode(cursor, binding)[0]


def _decode(cursor: str, binding: str) -> tuple[list[Any], bool]:
    """Return the position in a cursor, and whether the list is read backward. Raise like `decode_cursor`."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    payload = raw[12:]
    if not payload or not hmac.compare_digest(raw[:12], _signature(payload, binding)):
        detail = "The cursor belongs to another list, filter or caller, or is damaged"
        raise Invalid(detail, errors=[FieldError(pointer="query/cursor", detail=detail)])
    position = json.loads(payload)
    return (position["before"], True) if isinstance(position, dict) else (position, False)


@dataclass(frozen=True)
class Paging:
    """The requested part of a list: the number of items, and the cursor to start from."""

    limit: int
    cursor: str | None
    binding: str
    url: str

    @property
    def is_backward(self) -> bool:
        """Return whether the page before the cursor is requested, for which rows are read in reverse order."""
        return self.cursor is not None and _decode(self.cursor, self.binding)[1]

    def after(
        self,
        columns: Sequence["InstrumentedAttribute[Any] | ColumnElement[Any]"],
        parse: Sequence[Callable[[Any], Any]],
        *,
        descending: bool = True,
    ) -> ColumnElement[bool] | None:
        """Return the SQL condition of rows after the cursor in the order of `columns`; None without a cursor."""
        position = self.position(parse)
        if position is None:
            return None
        return beyond(columns, position, descending=descending)

    def position(self, parse: Sequence[Callable[[Any], Any]]) -> list[Any] | None:
        """Return the values in the cursor, converted by `parse`; None at the beginning of the list."""
        if self.cursor is None:
            return None
        values = decode_cursor(self.cursor, self.binding)
        return [convert(value) for convert, value in zip(parse, values, strict=True)]

    def page(
        self, rows: Sequence[T], position: Callable[[T], Sequence[Any]], response: Response
    ) -> tuple[list[T], str | None]:
        """Return the page and the next cursor from `limit + 1` fetched rows; set the `Link` header."""
        if len(rows) <= self.limit:
            return list(rows), None
        kept = list(rows[: self.limit])
        cursor = encode_cursor(position(kept[-1]), self.binding)
        response.headers["Link"] = self._link(cursor, "next")
        return kept, cursor

    def two_way_page(
        self, rows: Sequence[T], position: Callable[[T], Sequence[Any]], response: Response
    ) -> tuple[list[T], str | None, str | None]:
        """Return the page, the next and the previous cursor from `limit + 1` rows; set the `Link` header.

        The rows are in the order of reading: reversed if the list is read backward.
        """
        kept, backward, more = list(rows[: self.limit]), self.is_backward, len(rows) > self.limit
        if not kept:
            return kept, None, None
        if backward:
            kept.reverse()
        # In the reading direction there are more rows if one was fetched beyond the page; in the other direction
        # there is the page that the reader came from.
        before, behind = (more, True) if backward else (self.cursor is not None, more)
        following = encode_cursor(position(kept[-1]), self.binding) if behind else None
        previous = encode_cursor(position(kept[0]), self.binding, backward=True) if before else None
        links = [
            self._link(cursor, relation)
            for cursor, relation in ((following, "next"), (previous, "prev"))
            if cursor is not None
        ]
        if links:
            response.headers["Link"] = ", ".join(links)
        return kept, following, previous

    def _link(self, cursor: str, relation: str) -> str:
        return f'<{self.url}cursor={cursor}>; rel="{relation}"'


def beyond(
    columns: Sequence["InstrumentedAttribute[Any] | ColumnElement[Any]"],
    position: Sequence[Any],
    *,
    descending: bool,
) -> ColumnElement[bool]:
    """Return the SQL condition of the rows after a position in the order of `columns`."""
    left = tuple_(*columns)
    return left < tuple_(*position) if descending else left > tuple_(*position)


@marked(Mark.PAGING)
async def paging(
    request: Request,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items, at most 200")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` or `prev_cursor` of a page")] = None,
) -> Paging:
    """Dependency: return the paging of this request, bound to its path, filter and caller.

    Raise `Invalid` naming unknown parameters: a misspelt filter would have no effect.
    """
    await refuse_unknown_parameters(request)
    filters = sorted((k, v) for k, v in request.query_params.multi_items() if k not in PAGING_NAMES)
    query = urlencode([(k, v) for k, v in request.query_params.multi_items() if k != "cursor"])
    return Paging(
        limit=limit,
        cursor=cursor,
        binding=json.dumps([request.url.path, filters, caller.subject]),
        url=f"{request.url.path}?{query}{'&' if query else ''}",
    )


def inline_literal(value: T) -> BindParameter[T]:
    """Return a value of a fixed set as an SQL literal instead of a parameter.

    A prepared statement may get one plan for all values: it uses no partial index, and scans a whole list for a
    value that few rows have. With a literal, each value has its own statement and its own plan.
    """
    return literal(value, literal_execute=True)


PagingDep = Annotated[Paging, Depends(paging)]
