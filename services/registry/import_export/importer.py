"""Import of a file: compared with the whole registry, then applied completely or not at all."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError

from services.registry.import_export.apply_plan import apply_plan
from services.registry.import_export.cell_errors import MAX_SHOWN_VALUE_LENGTH, CellError, CellErrors
from services.registry.import_export.file_reader import FileTable, read_table
from services.registry.import_export.import_plan import ImportPlan, OrganisationPlan, PagePlan
from services.registry.import_export.organisation_plan import plan_organisations
from services.registry.import_export.page_plan import PagePlanner
from services.registry.import_export.parsed_rows import ParsedOrganisation, parse_organisations
from services.registry.import_export.registry_snapshot import RegistrySnapshot, load_snapshot
from services.registry.import_export.short_name_lookup import IdByShortName
from services.registry.organisations.organisations import lock_tree
from services.registry.schemas.import_export import (
    ChangedField,
    ImportCounts,
    ImportedEntry,
    ImportedKind,
    ImportReport,
    RejectedCell,
)
from shared.database.outages import is_deadlock
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, FieldError, Invalid

MAX_IMPORT_BYTES = 16 * 1024 * 1024
MAX_LISTED = 1_000


class ImportRejected(Invalid):
    """Some cells are invalid, so nothing was imported; `rejected_cells` lists each cell with its reason."""

    slug, title = "import-rejected", "The file was not imported"


@dataclass(frozen=True)
class ParsedFile:
    """A parsed file: its organisations, and the errors found in its cells so far."""

    sheet: FileTable
    organisations: list[ParsedOrganisation]
    errors: CellErrors


async def read_file(content: bytes) -> ParsedFile:
    """Parse a CSV or XLSX file in a thread. Raises `Invalid` when it contains no table of organisations."""
    return await asyncio.to_thread(_read, content)


def _read(content: bytes) -> ParsedFile:
    sheet = read_table(content)
    errors = CellErrors()
    return ParsedFile(sheet, parse_organisations(sheet, errors), errors)


async def import_file(
    session: WriteSession, file: ParsedFile, *, dry_run: bool, actor: str, short_names: IdByShortName | None = None
) -> ImportReport:
    """Change the registry to match the file; a dry run only reports the changes.

    `short_names`: ids of pages whose short names the networks have resolved. Entries missing from the file are
    kept. Raises `ImportRejected` for invalid cells and `Conflict` when the registry changed meanwhile; in both
    cases nothing is written. A dry run raises neither, and ends the session's transaction.
    """
    try:
        return await _imported(session, file, dry_run=dry_run, actor=actor, resolved=short_names or {})
    except DBAPIError as error:
        if not is_deadlock(error):
            raise
        raise Conflict("Another request changed the same rows meanwhile: import the file again") from error


async def _imported(
    session: WriteSession, file: ParsedFile, *, dry_run: bool, actor: str, resolved: IdByShortName
) -> ImportReport:
    if not dry_run:
        # Otherwise concurrent imports, or an import and a move in the tree, would miss each other's changes.
        await lock_tree(session)
    snapshot = await load_snapshot(session, lock=not dry_run)
    if dry_run:
        # Nothing will be written, and the comparison must not hold a database connection.
        await session.close()
    # Comparing thousands of rows takes seconds of CPU time: a thread keeps the event loop free.
    plan = await asyncio.to_thread(_make_plan, file, snapshot, resolved)
    rejected = file.errors.in_order()
    if not dry_run:
        if rejected:
            raise _refusal(rejected)
        await apply_plan(session, plan, actor)
    return ImportReport(
        dry_run=dry_run,
        organisations=_counts(plan.organisations),
        pages=_counts(plan.pages),
        rejected_cell_count=len(rejected),
        rejected_cells=[_shown(error) for error in rejected[:MAX_LISTED]],
        ignored_columns=file.sheet.ignored,
        entries=sorted(_entries(plan, dry_run=dry_run), key=lambda entry: entry.row),
    )


def _make_plan(file: ParsedFile, snapshot: RegistrySnapshot, resolved: IdByShortName) -> ImportPlan:
    organisation_plans = plan_organisations(file.organisations, snapshot, file.errors)
    short_names = {
        key: pages[0].external_id for key, pages in snapshot.short_names.items() if len(pages) == 1
    } | dict(resolved)
    planner = PagePlanner(snapshot, short_names, file.errors)
    for organisation_plan in organisation_plans:
        planner.plan(organisation_plan)
    return ImportPlan(organisation_plans, planner.plans)


def _refusal(rejected: Sequence[CellError]) -> ImportRejected:
    listed = [_shown(error) for error in rejected[:MAX_LISTED]]
    more = f"; the first {MAX_LISTED} are listed" if len(rejected) > MAX_LISTED else ""
    return ImportRejected(
        f"Nothing was changed. Invalid cells: {len(rejected)}{more}",
        errors=[
            FieldError(
                pointer=f"cell/{rejected_cell.cell}", detail=f"{rejected_cell.column}: {rejected_cell.reason}"
            )
            for rejected_cell in listed
        ],
        rejected_cell_count=len(rejected),
        rejected_cells=[rejected_cell.model_dump() for rejected_cell in listed],
    )


def _shown(error: CellError) -> RejectedCell:
    return RejectedCell(
        row=error.row,
        column=error.heading,
        cell=error.cell,
        value=error.value[:MAX_SHOWN_VALUE_LENGTH],
        reason=error.reason,
    )


def _counts(plans: Sequence[OrganisationPlan] | Sequence[PagePlan]) -> ImportCounts:
    outcomes = [plan.outcome for plan in plans]
    return ImportCounts(**{name: outcomes.count(name) for name in ("added", "changed", "unchanged")})


def _entries(plan: ImportPlan, *, dry_run: bool) -> Iterator[ImportedEntry]:
    plans_by_kind: tuple[tuple[ImportedKind, Sequence[OrganisationPlan] | Sequence[PagePlan]], ...] = (
        ("organisation", plan.organisations),
        ("page", plan.pages),
    )
    for kind, plans in plans_by_kind:
        for entry_plan in plans:
            if entry_plan.outcome == "unchanged":
                continue
            new: Any = entry_plan.id if isinstance(entry_plan, OrganisationPlan) else None
            yield ImportedEntry(
                row=entry_plan.parsed.main_cell.row,
                kind=kind,
                outcome=entry_plan.outcome,
                id=entry_plan.existing.id if entry_plan.existing else None if dry_run else new,
                name=entry_plan.name,
                changes=[
                    ChangedField(
                        field=difference.field,
                        cell=difference.cell.name,
                        before=difference.before,
                        after=difference.after,
                    )
                    for difference in entry_plan.differences
                ],
            )
