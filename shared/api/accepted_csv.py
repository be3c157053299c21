"""Read from the `Accept` header whether the client asks for CSV."""

from typing import Annotated

from fastapi import Depends, Header

CSV_MEDIA_TYPE = "text/csv"
_JSON_MEDIA_TYPES = frozenset({"application/json", "application/*"})


def is_csv_accepted(accept: str) -> bool:
    """Return whether the value of `Accept` names CSV and not JSON; weights are ignored."""
    accepted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return CSV_MEDIA_TYPE in accepted and not accepted & _JSON_MEDIA_TYPES


async def _accepts_csv(accept: Annotated[str, Header(description="JSON, or `text/csv`")] = "") -> bool:
    return is_csv_accepted(accept)


AcceptsCsv = Annotated[bool, Depends(_accepts_csv)]
