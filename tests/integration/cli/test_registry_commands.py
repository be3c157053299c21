"""`gospablik registry` against the API: import, export, and import into an empty system."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.generated_region.csv_file import region_csv
from services.registry.access import people
from tests.conftest import TestDatabase
from tests.support.forked_program import run_program
from tests.support.served_app import served
from tests.support.service_under_test import service_under_test

IMPORT = "/api/v1/organisations/import"


class ResponseLossMiddleware:
    """Forwards requests; if `lose_next` is set, replaces the response to the next import with 504."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.lose_next = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != IMPORT or not self.lose_next:
            await self.app(scope, receive, send)
            return
        self.lose_next = False

        async def swallow(_message: Message) -> None:
            """Drop the message."""

        await self.app(scope, receive, swallow)
        await send({"type": "http.response.start", "status": 504, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@dataclass
class System:
    """The served registry, the command line, and a connection to the database."""

    url: str
    middleware: ResponseLossMiddleware
    raw_connection: asyncpg.Connection
    folder: Path

    async def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end and return its output."""
        command = ("cli.main", "registry", *arguments, "--url", self.url)
        process = await run_program(*command, env={**os.environ, "COLUMNS": "200"})
        assert process.returncode == code, process.stdout + process.stderr
        return process.stdout + process.stderr

    def file(self, name: str, content: str) -> str:
        """Write a file in the test's folder and return its path."""
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return str(path)

    async def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        found: int = await self.raw_connection.fetchval(f"SELECT count(*) FROM {table}")
        return found


@pytest.fixture
async def system(database: TestDatabase, keys_dir: Path, tmp_path: Path) -> AsyncIterator[System]:
    raw_connection = await database.connect()
    async with service_under_test("registry", database, keys_dir) as registry:
        async with registry.service.database.write() as session:
            await people.ensure_demo_people(session)
        middleware = ResponseLossMiddleware(registry.client._transport.app)  # type: ignore[attr-defined]
        async with served(middleware) as url:
            yield System(url, middleware, raw_connection, tmp_path)
    await raw_connection.close()


def row_of(printed: str, word: str) -> list[str]:
    """Return the cells of the printed row that begins with a word."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    found = [row for row in rows if row and row[0] == word]
    assert found, printed
    return found[0]


@pytest.mark.parametrize(
    ("organisations", "pages"),
    [
        (150, 250),
        pytest.param(2_000, 3_600, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
async def test_exported_region_can_be_imported_again(system: System, organisations: int, pages: int) -> None:
    file = system.file("region.csv", region_csv(organisations=organisations, pages=pages))
    printed = await system.run("import", file)
    assert row_of(printed, "organisations") == ["organisations", str(organisations), "0", "0"]
    assert row_of(printed, "pages") == ["pages", str(pages), "0", "0"]
    assert "Done" in printed
    again = await system.run("import", file)
    assert row_of(again, "organisations") == ["organisations", "0", "0", str(organisations)]
    first, second = system.folder / "first.csv", system.folder / "second.csv"
    await system.run("export", str(first))
    for table in ("page_steps", "pages", "organisation_names", "organisations"):
        await system.raw_connection.execute(f"DELETE FROM {table}")
    await system.run("import", str(first))
    assert await system.count("pages") == pages
    await system.run("export", str(second))
    assert first.read_bytes() == second.read_bytes()


async def test_invalid_cells_are_listed_and_nothing_is_changed(system: System) -> None:
    file = system.file("bad.csv", "Наименование,Вид,ИНН\nШкола [/b],учреждение,\nКлуб,замок,1\n")
    for extra in ((), ("--dry-run",)):
        printed = await system.run("import", file, *extra, code=1)
        assert row_of(printed, "B3")[:3] == ["B3", "Вид", "замок"]
        assert row_of(printed, "C3")[:3] == ["C3", "ИНН", "1"]
        assert "Nothing was changed" in printed
    assert "Школа [/b]" in printed
    assert await system.count("organisations") == 0


async def test_dry_run_prints_changes_without_making_them(system: System) -> None:
    file = system.file("good.csv", "Наименование,Вид,Примечание\nШкола,учреждение,да\n")
    printed = await system.run("import", file, "--dry-run")
    assert row_of(printed, "2") == ["2", "added", "organisation", "Школа", ""]
    assert "Примечание" in printed
    assert await system.count("organisations") == 0


async def test_import_is_retried_after_a_lost_response(system: System) -> None:
    system.middleware.lose_next = True
    file = system.file("good.csv", "Наименование,Вид\nШкола,учреждение\n")
    assert row_of(await system.run("import", file), "organisations") == ["organisations", "1", "0", "0"]
    assert await system.count("organisations") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda s: ("import", s.file("x.csv", "Имя\nШкола\n")), "There is no column"),
        (lambda s: ("export", str(s.folder / "x.csv"), "--user", "nobody", "--password", "x"), "was refused"),
        (lambda s: ("export", str(s.folder / "none" / "x.csv")), "cannot be written"),
        (lambda s: ("import", s.file("x.csv", "Наименование\n"), "--user", "head"), "no right"),
    ],
)
async def test_failed_command_is_reported_with_a_reason(
    system: System, arguments: Callable[[System], tuple[str, ...]], message: str
) -> None:
    assert message in await system.run(*arguments(system), code=1)


async def test_export_writes_xlsx_and_refuses_an_unknown_file_type(system: System) -> None:
    await system.run("export", str(system.folder / "x.xlsx"), "--headings", "ru")
    assert (system.folder / "x.xlsx").read_bytes().startswith(b"PK")
    assert "must end in" in await system.run("export", str(system.folder / "x.txt"), code=2)
