"""Import and export of the registry: a table is checked cell by cell, then applied as a whole."""

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem, Content
from services.console.pages.registry_import.fault_words import about_file, in_russian
from services.console.site.downloads import download
from services.console.site.forms import entered_with_file, refusal_of
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep

PATH = "/import"
EXPORT_PATH = "/registry-export"
# The API accepts 16 MiB; the rest is for the other fields of the form.
_LARGEST_BODY = 17 * 1024 * 1024
_CSV = "text/csv"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SHOWN_ENTRIES = 200
# Just above the gateway's timeout of 30 s: the result of an import that had to wait for its turn still arrives.
_IMPORT_SECONDS = 32
_NO_FILE = "Выберите файл CSV или XLSX."
_OTHER_FILE = "Это не тот файл, который вы проверяли. Посмотрите, что изменит он."
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.REGISTRY, 30, "Загрузка и выгрузка", PATH, rights=frozenset({"registry:write"})),),
    body_limits={PATH: _LARGEST_BODY},
)


@dataclass(frozen=True)
class Result:
    """The API's response to a file: a report of the changes, or why the file was refused."""

    report: dict[str, Any] | None = None
    refusal: str = ""
    digest: str = ""
    applied: bool = False

    @property
    def may_apply(self) -> bool:
        """Return whether the file has no rejected cells, contains changes and is not applied yet."""
        report = self.report
        return bool(report and not self.applied and not report["rejected_cell_count"] and report["entries"])


@router.get(PATH)
async def show_import(visit: VisitDep) -> HTMLResponse:
    """Show the empty form."""
    return _page(visit, Result())


@router.post(PATH)
async def check_or_apply(visit: VisitDep) -> HTMLResponse:
    """Show what a file would change; apply it only if the same file was shown before and the person confirms."""
    form, content = await entered_with_file(visit.request, "file")
    if not content:
        return _page(visit, Result(refusal=_NO_FILE), status=422)
    digest = hashlib.sha256(content).hexdigest()
    asked = form.get("do") == "apply"
    applies = asked and form.get("checked") == digest
    try:
        answer = await visit.api.send(
            "POST",
            "/organisations/import",
            parameters={"dry_run": not applies, "resolve_short_names": form.get("resolve") == "yes"},
            content=Content(_XLSX if content.startswith(b"PK") else _CSV, content),
            key=form.get("key") if applies else None,
            timeout_seconds=_IMPORT_SECONDS,
        )
    except ApiProblem as problem:
        return _page(visit, _refused(problem), status=problem.status)
    refusal = _OTHER_FILE if asked and not applies else ""
    return _page(visit, Result(answer.data, refusal, digest, applied=applies))


@router.get(EXPORT_PATH)
async def export_registry(visit: VisitDep, format: str = "xlsx") -> Response:
    """Return the table of all organisations and pages from the API."""
    kind = "csv" if format == "csv" else "xlsx"
    return await download(visit, "/organisations/export", f"registry.{kind}", {"format": kind, "headings": "ru"})


def _refused(problem: ApiProblem) -> Result:
    rejected = problem.document.get("rejected_cells")
    if rejected is not None:  # the registry has changed since the preview
        count = problem.document["rejected_cell_count"]
        return Result(_nothing() | {"rejected_cell_count": count, "rejected_cells": rejected})
    if problem.status == 422:
        return Result(refusal=about_file(problem.fields.get("/", "")))
    if problem.status == 413:
        return Result(refusal="Файл больше 16 МБ. Разделите таблицу.")
    return Result(refusal=refusal_of(problem))


def _nothing() -> dict[str, Any]:
    none = {"added": 0, "changed": 0, "unchanged": 0}
    return {"organisations": none, "pages": none, "ignored_columns": [], "entries": []}


def _page(visit: Visit, result: Result, *, status: int = 200) -> HTMLResponse:
    report = result.report
    return visit.render(
        "registry_import/import.html",
        status=status,
        result=result,
        report=report,
        faults=[one | {"words": in_russian(one["reason"])} for one in report["rejected_cells"]] if report else [],
        entries=report["entries"][:_SHOWN_ENTRIES] if report else [],
    )
