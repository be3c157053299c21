"""Load the reference data of the registry: municipalities and the region's working calendar."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.reference import days

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

CALENDAR_ID = UUID("019380e0-0000-7000-8000-000000000001")
WORKING_DAY = [["09:00", "13:00"], ["14:00", "18:00"]]
WEEKLY = {str(weekday): WORKING_DAY if weekday <= 5 else [] for weekday in range(1, 8)}


def _intervals(day: days.CalendarDayRow) -> list[list[str]]:
    if not day.works:
        return []
    *whole, (start, end) = WORKING_DAY
    hours, minutes = map(int, end.split(":"))
    closes = hours * 60 + minutes - day.shorter_by
    return [*whole, [start, f"{closes // 60:02}:{closes % 60:02}"]]


def upgrade() -> None:
    now = datetime.now(UTC)
    municipalities = sa.table(
        "municipalities", sa.column("oktmo"), sa.column("name"), sa.column("kind"), sa.column("sort_key")
    )
    with files("migrations.reference").joinpath("municipalities.csv").open(encoding="utf-8") as source:
        rows = [{**row, "sort_key": row["name"].lower().replace("ё", "е")} for row in csv.DictReader(source)]
    op.bulk_insert(municipalities, rows)
    calendars = sa.table(
        "calendars",
        sa.column("id", sa.Uuid),
        sa.column("name"),
        sa.column("time_zone"),
        sa.column("weekly", postgresql.JSONB),
        sa.column("is_default", sa.Boolean),
        sa.column("version", sa.Integer),
        sa.column("created_at", sa.DateTime(timezone=True)),
        sa.column("updated_at", sa.DateTime(timezone=True)),
    )
    op.bulk_insert(
        calendars,
        [
            {
                "id": CALENDAR_ID,
                "name": "Республика Бурятия, пятидневная неделя",
                "time_zone": "Asia/Irkutsk",
                "weekly": WEEKLY,
                "is_default": True,
                "version": 1,
                "created_at": now,
                "updated_at": now,
            }
        ],
    )
    calendar_days = sa.table(
        "calendar_days",
        sa.column("calendar_id", sa.Uuid),
        sa.column("day", sa.Date),
        sa.column("intervals", postgresql.JSONB),
        sa.column("title"),
    )
    op.bulk_insert(
        calendar_days,
        [
            {"calendar_id": CALENDAR_ID, "day": day.day, "intervals": _intervals(day), "title": day.title}
            for day in days.read()
        ],
    )


def downgrade() -> None:
    op.execute("DELETE FROM calendar_days")
    op.execute("DELETE FROM calendars")
    op.execute("DELETE FROM municipalities")
