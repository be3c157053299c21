"""The grading rubric that the migration inserts."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

_FILE = Path(__file__).parents[3] / "migrations" / "reference" / "grading_rubric_1.json"
SEEDED: dict[str, Any] = {
    "id": UUID(int=51),
    "version": 1,
    "criteria": json.loads(_FILE.read_text(encoding="utf-8")),
    "created_by": "migration",
    "created_at": datetime(2026, 11, 1, tzinfo=UTC),
}
