"""Write citizens' messages from a CSV file, distributed over the pages."""

import asyncio
import csv
import io
from dataclasses import dataclass
from typing import Any, Literal

from emulators.common.errors import BadInputError, RefusedError, UnknownError
from emulators.common.network_protocol import MESSAGE_KINDS, EmulatedNetwork, MessageKind

MAX_FIELD = 16 * 1024 * 1024
YIELD_EVERY = 100


@dataclass(frozen=True)
class CsvFeedPlan:
    """Which rows are used (`offset`, `offset + step`, …) and for which kinds of message."""

    column: str = "text"
    kind: Literal[MessageKind, "mixed"] = "mixed"
    offset: int = 0
    step: int = 1
    detail: bool = False

    def takes(self, row: int) -> bool:
        """Return whether the row, counted from zero after the header, is used."""
        return row >= self.offset and (row - self.offset) % self.step == 0

    def kind_of(self, number: int, pages: int) -> MessageKind:
        """Return the message kind of the n-th used row."""
        if self.kind != "mixed":
            return self.kind
        # If the number of pages is divisible by three, plain rotation would give each page only one kind.
        turn = number + number // pages if pages % len(MESSAGE_KINDS) == 0 else number
        return MESSAGE_KINDS[turn % len(MESSAGE_KINDS)]


async def write_csv_messages(world: EmulatedNetwork, body: bytes, plan: CsvFeedPlan) -> dict[str, Any]:
    """Write the text of each used row as a citizen, and return the counts of accepted and rejected texts.

    Raises `BadInputError` if the body is not UTF-8 CSV with the given column, `UnknownError` if there is no page.
    """
    csv.field_size_limit(MAX_FIELD)
    try:
        reader = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInputError("body", f"not CSV in UTF-8: {error}") from error
    if plan.column not in (reader.fieldnames or []):
        raise BadInputError("column", f"the file has no column {plan.column!r}")
    pages = [page["id"] for page in world.pages()]
    if not pages:
        raise UnknownError("there is no page to write to: create one first")
    accepted, refused, items = 0, 0, []
    for number, row in enumerate(row for row in range(len(rows)) if plan.takes(row)):
        page, kind = pages[number % len(pages)], plan.kind_of(number, len(pages))
        item: dict[str, Any] = {"row": row, "page": page, "kind": kind}
        try:
            item |= world.citizen_writes(page=str(page), kind=kind, text=rows[row][plan.column] or "")
            accepted += 1
        except RefusedError as error:
            item |= {"id": None, "thread": None, "error": {"code": error.code, "message": error.message}}
            refused += 1
        items.append(item)
        if number % YIELD_EVERY == 0:
            await asyncio.sleep(0)
    answer: dict[str, Any] = {"accepted": accepted, "refused": refused}
    return answer | ({"items": items} if plan.detail else {})
