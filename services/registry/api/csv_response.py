"""Tables as CSV, for requests with `format=csv` or `Accept: text/csv`.

UTF-8 with a byte order mark, without which Excel misreads Cyrillic.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from typing_extensions import TypeAliasType

from shared.api.accepted_csv import CSV_MEDIA_TYPE, is_csv_accepted
from shared.tabular.writer import csv_bytes

CSV_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            CSV_MEDIA_TYPE: {
                "schema": {"type": "string"},
                "example": "День,Обязаны вести страницу\r\n2026-11-27,1870\r\n",
            }
        },
        "description": "JSON, or CSV on request",
    }
}


TableFormat = TypeAliasType("TableFormat", Literal["json", "csv"])


async def wants_csv(
    request: Request,
    form: Annotated[
        TableFormat | None,
        Query(alias="format", description="`csv`: the whole table, without pages. Left out: decided by `Accept`"),
    ] = None,
) -> bool:
    """Return whether the request asks for CSV. A FastAPI dependency."""
    if form is not None:
        return form == "csv"
    return is_csv_accepted(request.headers.get("accept", ""))


WantsCsv = Annotated[bool, Depends(wants_csv)]


def csv_response(name: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return the rows as a file `<name>.csv`; None becomes an empty cell."""
    return Response(
        csv_bytes([headings, *rows], with_mark=True),
        media_type=CSV_MEDIA_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"', "Vary": "Accept"},
    )
