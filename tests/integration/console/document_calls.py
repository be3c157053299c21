"""Write docs/frontend/console-calls.md: the API calls that each page of the console made in its tests.

python -m tests.integration.console.document_calls
"""

import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from fastapi.routing import iter_route_contexts

from services.console import pages
from tests.integration.console.all_pages import FOUND
from tests.integration.console.console_under_test import ConsoleUnderTest

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[2] / "docs" / "frontend" / "console-calls.md"
# If this environment variable is set, the last test writes the document.
WRITE = "DOCUMENT_CALLS"
_HEAD = """\
# Calls of the console

Which calls of the [API](api.md) each page of the console makes, as an example for other front ends. Each page also
asks `GET /me` first. Recorded in the tests of the console and written by
`python -m tests.integration.console.document_calls`; a test compares it with the calls of the day.
"""
# Every page makes this call, so the document leaves it out of the tables.
_OF_EVERY_PAGE = "GET /me"
# Page, call and right.
Row = tuple[str, str, str]


@cache
def folders() -> Mapping[str, str]:
    """Return the folder of the page for each route."""
    names = [found.name for found in pkgutil.iter_modules(pages.__path__) if found.ispkg]
    return {
        str(route.path): name
        for name, page in zip(names, FOUND, strict=True)
        for route in iter_route_contexts(page.router.routes)
    }


def recorded(console: ConsoleUnderTest) -> dict[Row, set[str]]:
    """Return the parameters used by page, operation and right, for each recorded call."""
    found: dict[Row, set[str]] = {}
    for call in console.calls:
        operation = console.operation(call)
        if operation is None:
            continue
        name = f"{operation.method} {operation.path}"
        if name != _OF_EVERY_PAGE:
            found.setdefault((call.page, name, operation.right or ""), set()).update(call.parameters)
    return found


def written(calls: Mapping[Row, set[str]]) -> str:
    """Return the text of the document."""
    return "\n".join([_HEAD, *_sections(calls)])


def _sections(calls: Mapping[Row, set[str]]) -> Iterator[str]:
    by_folder: dict[str, list[Row]] = {}
    for row in sorted(calls):
        by_folder.setdefault(folders()[row[0]], []).append(row)
    for folder, rows in sorted(by_folder.items()):
        yield f"## {folder}\n\n| address | call | right | parameters |\n|---|---|---|---|"
        for page, call, right in rows:
            names = ", ".join(f"`{name}`" for name in sorted(calls[page, call, right]))
            yield f"| `{page}` | `{call}` | {f'`{right}`' if right else ''} | {names} |"
        yield ""


def rows_of(document: str) -> dict[Row, set[str]]:
    """Parse a document: return the parameters by page, operation and right."""
    found: dict[Row, set[str]] = {}
    for line in document.splitlines():
        if line.startswith("| `"):
            page, call, right, names = (cell.strip() for cell in line.strip("|").split("|"))
            row = (page.strip("`"), call.strip("`"), right.strip("`"))
            found[row] = {name.strip(" `") for name in names.split(",") if name}
    return found


def missing(wanted: Mapping[Row, set[str]], given: Mapping[Row, set[str]]) -> Iterable[str]:
    """Yield a line for each call of `wanted`, or its parameters, that `given` lacks."""
    for row, names in sorted(wanted.items()):
        if row not in given:
            yield f"{row[0]}: {row[1]} ({row[2] or 'no right'})"
        elif names - given[row]:
            yield f"{row[0]}: {row[1]} with {', '.join(sorted(names - given[row]))}"


if __name__ == "__main__":
    command = [sys.executable, "-m", "pytest", str(FOLDER), "-q", "-p", "no:cacheprovider"]
    sys.exit(subprocess.run(command, env=os.environ | {WRITE: "yes"}, check=False).returncode)
