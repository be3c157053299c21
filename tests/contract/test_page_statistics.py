"""Statistics of a page as VK sends them: bounds of periods as text, `activity` as an empty list."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.ingest.networks.lookup_port import WeekReach
from services.ingest.networks.vk.vk_statistics import parse_reach

# A period of one day: VK sends its beginning as both bounds.
INVENTED: dict[str, Any] = {
    "response": [
        {
            "period_from": "1767225600",
            "period_to": "1767225600",
            "visitors": {"views": 312, "visitors": 207, "mobile_views": 95, "sex": [{"count": 120, "value": "f"}]},
            "reach": {"reach": 458, "reach_subscribers": 119, "mobile_reach": 68, "countries": []},
            "activity": [],
        }
    ]
}
RECORDED = Path(__file__).parents[3] / "shared" / "reference" / "payloads" / "vk" / "vknet" / "Stats"


def _payloads() -> list[Any]:
    recorded = [json.loads(path.read_text("utf-8")) for path in sorted(RECORDED.glob("*.json"))]
    return [INVENTED, *recorded]


@pytest.mark.parametrize("payload", _payloads())
def test_weekly_reach_is_read_from_vk_statistics(payload: Any) -> None:
    weeks = payload["response"]
    start = datetime.fromtimestamp(int(weeks[0]["period_from"]), UTC)
    found = parse_reach([weeks, False], start - timedelta(days=3), start + timedelta(days=4))
    assert found == WeekReach(reach=weeks[0]["reach"]["reach"], counted_by="week")
