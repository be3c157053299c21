"""Importing a file: compared with the registry as a whole, then done as a whole or not at all."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError

from services.registry.import_export.apply_plan import apply
from services.registry.import_export.cell_errors import LONGEST_VALUE, Fault, Faults
from services.registry.import_export.file_reader import Sheet, read_sheet
from services.registry.import_export.import_plan import BodyPlan, PagePlan, Plan
from services.registry.import_export.organisation_plan import plan_bodies
from services.registry.import_export.page_plan import PagePlanner
from services.registry.import_export.parsed_rows import Draft, read_drafts
from services.registry.import_export.registry_snapshot import Known, load
from services.registry.import_export.short_name_lookup import ShortNames
from services.registry.organisations.organisations import lock_tree
from services.registry.schemas.import_export import (
    ChangedField,
    Counts,
    ImportedThing,
    ImportReport,
    RefusedCell,
    Subject,
)
from shared.database.outages import is_deadlock
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, FieldError, Invalid

MAX_BYTES = 16 * 1024 * 1024
LISTED = 1_000


class ImportRefused(Invalid):
    """Cells of the file cannot be taken, so nothing of it was; `refused` names each with its reason."""

    slug, title = "import-refused", "The file was not imported"


@dataclass(frozen=True)
class File:
    """A file that was read: its organisations, and what was wrong with its cells so far."""

    sheet: Sheet
    drafts: list[Draft]
    faults: Faults


async def read_file(content: bytes) -> File:
    """Read a CSV or XLSX file. Raises `Invalid` when there is no table of organisations in it."""
    return await asyncio.to_thread(_read, content)


def _read(content: bytes) -> File:
    sheet = read_sheet(content)
    faults = Faults()
    return File(sheet, read_drafts(sheet, faults), faults)


async def import_file(
    session: WriteSession, file: File, *, dry_run: bool, actor: str, resolved: ShortNames | None = None
) -> ImportReport:
    """Bring the registry to what the file says; a dry run only says what that would do.

    `resolved` are short names of pages that the networks were asked about. What the file does not mention stays as
    it is. Raises `ImportRefused` when a cell cannot be taken, `Conflict` when somebody changed the registry
    meanwhile; then nothing was done. A dry run raises neither.
    """
    try:
        return await _imported(session, file, dry_run=dry_run, actor=actor, resolved=resolved or {})
    except DBAPIError as error:
        if not is_deadlock(error):
            raise
        raise Conflict("Somebody else changed the same rows just now: import the file again") from error


async def _imported(
    session: WriteSession, file: File, *, dry_run: bool, actor: str, resolved: ShortNames
) -> ImportReport:
    if not dry_run:
        # Two imports, or an import and a move in the tree, would not see each other's rows.
        await lock_tree(session)
    known = await load(session, lock=not dry_run)
    # In a thread: thousands of rows are compared while others are answered.
    plan = await asyncio.to_thread(_planned, file, known, resolved)
    refused = file.faults.in_order()
    if not dry_run:
        if refused:
            raise _refusal(refused)
        await apply(session, plan, actor)
    return ImportReport(
        dry_run=dry_run,
        organisations=_counts(plan.bodies),
        pages=_counts(plan.pages),
        refused_count=len(refused),
        refused=[_shown(fault) for fault in refused[:LISTED]],
        ignored_columns=file.sheet.ignored,
        things=sorted(_things(plan, dry_run=dry_run), key=lambda thing: thing.row),
    )


def _planned(file: File, known: Known, resolved: ShortNames) -> Plan:
    bodies = plan_bodies(file.drafts, known, file.faults)
    short_names = {
        key: pages[0].external_id for key, pages in known.short_names.items() if len(pages) == 1
    } | dict(resolved)
    planner = PagePlanner(known, short_names, file.faults)
    for body in bodies:
        planner.plan(body)
    return Plan(bodies, planner.plans)


def _refusal(refused: Sequence[Fault]) -> ImportRefused:
    listed = [_shown(fault) for fault in refused[:LISTED]]
    more = f"; the first {LISTED} are listed" if len(refused) > LISTED else ""
    return ImportRefused(
        f"Nothing was changed. Cells that cannot be taken: {len(refused)}{more}",
        errors=[FieldError(pointer=f"cell/{one.cell}", detail=f"{one.column}: {one.reason}") for one in listed],
        refused_count=len(refused),
        refused=[one.model_dump() for one in listed],
    )


def _shown(fault: Fault) -> RefusedCell:
    return RefusedCell(
        row=fault.row,
        column=fault.column,
        cell=fault.cell,
        value=fault.value[:LONGEST_VALUE],
        reason=fault.reason,
    )


def _counts(plans: Sequence[BodyPlan] | Sequence[PagePlan]) -> Counts:
    outcomes = [plan.outcome for plan in plans]
    return Counts(**{name: outcomes.count(name) for name in ("added", "changed", "unchanged")})


def _things(plan: Plan, *, dry_run: bool) -> Iterator[ImportedThing]:
    told: tuple[tuple[Subject, Sequence[BodyPlan] | Sequence[PagePlan]], ...] = (
        ("organisation", plan.bodies),
        ("page", plan.pages),
    )
    for subject, plans in told:
        for one in plans:
            if one.outcome == "unchanged":
                continue
            new: Any = one.id if isinstance(one, BodyPlan) else None
            yield ImportedThing(
                row=one.draft.place.row,
                subject=subject,
                outcome=one.outcome,
                id=one.existing.id if one.existing else None if dry_run else new,
                name=one.name,
                changed=[
                    ChangedField(
                        field=difference.field,
                        cell=difference.cell.name,
                        before=difference.before,
                        after=difference.after,
                    )
                    for difference in one.differences
                ],
            )
