"""The figures of a weekly report, recomputed in plain Python from exported tables.

Implemented from docs/moderator/weekly-report.md, without the report's code: it loops over rows of CSV files and
counts.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Irkutsk")
Row = Mapping[str, str]
Tables = Mapping[str, Sequence[Row]]
TABLES = (
    "appeals", "sla_clocks", "sla_clock_events", "replies", "reply_versions", "promises", "feedback_rounds",
    "messages", "classifications", "appeal_messages", "topics", "organisations", "pages", "page_scores",
    "page_score_formulas", "timeline", "reply_changes",
)  # fmt: skip
_NO_ANSWER = ("not_required", "merged")


def _moment(text: str) -> datetime | None:
    """Parse a time as Postgres writes it, such as 2026-11-16 00:00:00+00; None for an empty text."""
    if not text:
        return None
    if re.search(r"[+-]\d\d$", text):
        text += ":00"
    return datetime.fromisoformat(text).astimezone(UTC)


def _share(part: int, whole: int) -> float | None:
    if not whole:
        return None
    shown = round(100 * part / whole, 1)
    if part in (0, whole):
        return shown
    return 99.9 if shown == 100 else 0.1 if shown == 0 else shown


def _never_assigned(appeal: Row) -> bool:
    return appeal["status"] == "triage" and not appeal["assigned_at"] and not appeal["first_response_at"]


def _quantile(values: Sequence[int], share: float) -> float | None:
    """Return the continuous quantile, interpolated linearly between neighbours; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class Recomputation:
    """The recomputed figures of one week."""

    def __init__(self, tables: Tables, monday: datetime, as_of: datetime) -> None:
        """`monday` is the midnight, in the region's time zone, at which the week begins."""
        self.tables = tables
        self.monday = monday
        self.as_of = as_of.astimezone(UTC)
        self.group_of = {row["id"]: row["group_id"] or row["id"] for row in tables["topics"]}
        self.oktmo_of = {row["id"]: row["municipality"] for row in tables["organisations"]}
        self.appeals = {row["id"]: row for row in tables["appeals"]}
        self.type_of = {row["message_id"]: row for row in tables["classifications"]}
        self.versions: dict[str, list[Row]] = defaultdict(list)
        for row in tables["reply_versions"]:
            self.versions[row["reply_id"]].append(row)
        self.words_on: dict[str, list[Row]] = defaultdict(list)
        for row in tables["feedback_rounds"]:
            self.words_on[row["reply_id"]].append(row)
        self.replies_of: dict[str, list[Row]] = defaultdict(list)
        for row in tables["replies"]:
            self.replies_of[row["appeal_id"]].append(row)
        self.withdrawn_at = {
            row["reply_id"]: _required(row["ended_at"])
            for row in tables["reply_changes"]
            if row["kind"] == "withdrawal" and row["status"] == "applied"
        }
        self.events_of: dict[str, list[Row]] = defaultdict(list)
        for row in tables["sla_clock_events"]:
            self.events_of[row["clock_id"]].append(row)
        self.entries_of: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(tables["timeline"], key=lambda row: _required(row["at"])):
            self.entries_of[row["appeal_id"]].append(row)
        self.messages_of: dict[str, list[Row]] = defaultdict(list)
        self.appeal_of = {}
        for row in tables["appeal_messages"]:
            self.messages_of[row["appeal_id"]].append(row)
            self.appeal_of[row["message_id"]] = self.appeals[row["appeal_id"]]

    def bounds(self, weeks_before: int = 0) -> tuple[datetime, datetime]:
        """Return the start and the end, in UTC, of the week this many weeks earlier."""
        start = self.monday - timedelta(weeks=weeks_before)
        return start.astimezone(UTC), (start + timedelta(weeks=1)).astimezone(UTC)

    def year_before(self) -> tuple[datetime, datetime]:
        """Return the bounds of the week with the same number a year before."""
        year, number, _ = self.monday.isocalendar()
        last = datetime(year - 1, 12, 28, tzinfo=ZONE).isocalendar().week
        start = datetime.fromisocalendar(year - 1, min(number, last), 1).replace(tzinfo=ZONE)
        return start.astimezone(UTC), (start + timedelta(weeks=1)).astimezone(UTC)

    def opened(self, bounds: tuple[datetime, datetime]) -> list[Row]:
        """Return the counted appeals opened between the bounds."""
        return [
            row
            for row in self.tables["appeals"]
            if bounds[0] <= _required(row["opened_at"]) < bounds[1]
            and row["status"] not in _NO_ANSWER
            and not _never_assigned(row)
        ]

    def counts_by(self, key: Any) -> dict[Any, dict[str, Any]]:
        """Return the comparison with last week for each value of `key(appeal)` that occurs in either week."""
        weeks = [Counter(map(key, self.opened(self.bounds(n)))) for n in range(9)]
        before = Counter(map(key, self.opened(self.year_before())))
        opened = [_required(row["opened_at"]) for row in self.tables["appeals"]]
        first = min(opened).astimezone(ZONE).date() if opened else None
        found = {}
        for value in weeks[0].keys() | weeks[1].keys():
            known = [n for n in range(1, 9) if first and self._monday(n) >= first]
            last = weeks[1][value] if 1 in known else None
            year = before[value] if first and self.year_before()[0].astimezone(ZONE).date() >= first else None
            whole = self.as_of >= self.bounds()[1]
            found[value] = {
                "value": weeks[0][value],
                "last_week": last,
                "change": weeks[0][value] - last if last is not None and whole else None,
                "last_year": year,
                "change_to_last_year": weeks[0][value] - year if year is not None and whole else None,
                "mean_of_8_weeks": round(sum(weeks[n][value] for n in known) / len(known), 1) if known else None,
            }
        return found

    def _monday(self, weeks_before: int) -> Any:
        return (self.monday - timedelta(weeks=weeks_before)).date()

    def channel(self, appeal: Row) -> str:
        return appeal["network"] or appeal["source"] or "manual"

    def oktmo(self, appeal: Row) -> str:
        return appeal["municipality"] or self.oktmo_of.get(appeal["organisation_id"], "")

    def group(self, appeal: Row) -> str:
        return self.group_of.get(appeal["topic_id"], "")

    def outcomes(self) -> dict[str, int]:
        """Return the counts of the outcomes of the week's appeals."""
        bounds = self.bounds()
        found: Counter[str] = Counter()
        for row in self.opened(bounds):
            answered = self._before(row["first_response_at"])
            final = answered and self._before(row["final_answer_at"])
            found["opened"] += 1
            if answered:
                found["answered"] += 1
                found["final_answered" if final else "interim"] += 1
                found["solved"] += self._is_solved(row)
            elif self._closing(row, self.as_of) and not self._had_reply(row, self.as_of):
                found["closed_unanswered"] += 1
            elif self._before(row["first_response_due_at"]):
                found["overdue"] += 1
            else:
                found["waiting"] += 1
        for row in self.tables["appeals"]:
            if bounds[0] <= _required(row["opened_at"]) < bounds[1]:
                found["in_triage"] += _never_assigned(row)
                found["not_required"] += row["status"] == "not_required"
        return found

    def _is_solved(self, appeal: Row) -> bool:
        """Return whether the last final answer solved the appeal and the citizen did not deny this."""
        answers = [
            reply
            for reply in self.replies_of[appeal["id"]]
            if reply["kind"] == "final" and reply["status"] == "published" and self._before(reply["published_at"])
        ]
        if not answers:
            return False
        last = max(answers, key=lambda reply: (_required(reply["published_at"]), reply["id"]))
        denied = any(
            said["kind"] == "not_solved" and self._before(said["said_at"]) for said in self.words_on[last["id"]]
        )
        return last["outcome"] == "solved" and not denied

    def _before(self, text: str) -> bool:
        moment = _moment(text)
        return moment is not None and moment < self.as_of

    def figures(self) -> dict[str, Counter[str]]:
        """Return counts by organisation; the key "" is the centre."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for parts in (self._responses(), self._overdue(), self._answers(), self._promises(), self._feedback()):
            for organisation, name, amount in parts:
                counts[organisation][name] += amount
        for organisation, name, amount in [*self._deleted(), *self._closed()]:
            counts[organisation][name] += amount
        return counts

    def _counted_clocks(self) -> Iterator[Row]:
        for clock in self.tables["sla_clocks"]:
            if clock["state"] != "cancelled" and self.appeals[clock["appeal_id"]]["status"] not in _NO_ANSWER:
                yield clock

    def _responses(self) -> Iterator[tuple[str, str, int]]:
        start, end = self.bounds()
        for clock in self._counted_clocks():
            if clock["kind"] not in ("first_response", "next_response"):
                continue
            due, stopped = _moment(clock["due_at"]), _moment(clock["stopped_at"])
            on_time = stopped is not None and start <= stopped < end and (due is None or stopped <= due)
            late = due is not None and start <= due < min(end, self.as_of) and (stopped is None or stopped > due)
            if due is not None and late:
                late = not self._closed_before(clock["appeal_id"], due)
            closed = self._closed_before_due(clock, due)
            if not on_time and not late and not closed:
                continue
            organisation = self._responsible(clock, due) if late and due else clock["organisation_id"]
            answered = stopped is not None and stopped < self.as_of
            yield organisation, "responses", int(not closed)
            yield organisation, "questions", 1
            yield organisation, "on_time", int(on_time)
            yield organisation, "answered", int(answered)
            if self._opened_by(clock["appeal_id"]) == "complaint":
                yield organisation, "complaints", 1
                yield organisation, "complaints_answered", int(answered)

    def _closed_before_due(self, clock: Row, due: datetime | None) -> bool:
        """Return whether the appeal was closed in the week without this response, before its deadline."""
        appeal = self.appeals[clock["appeal_id"]]
        closed = _moment(appeal["closed_at"])
        if appeal["status"] != "closed" or clock["stopped_at"] or closed is None:
            return False
        return self.bounds()[0] <= closed < self.bounds()[1] and (due is None or closed < due)

    def _closed_before(self, appeal_id: str, moment: datetime) -> bool:
        closed = _moment(self.appeals[appeal_id]["closed_at"])
        return closed is not None and closed < moment

    def _responsible(self, clock: Row, due: datetime) -> str:
        """Return the organisation that was responsible for the clock when its deadline passed."""
        owners = [
            event
            for event in self.events_of[clock["id"]]
            if event["kind"] in ("started", "restarted", "moved") and _required(event["at"]) <= due
        ]
        if not owners:
            return clock["organisation_id"]
        return max(owners, key=lambda event: int(event["sequence"]))["organisation_id"]

    def _opened_by(self, appeal_id: str) -> str | None:
        classified = [row for row in self.messages_of[appeal_id] if row["message_id"] in self.type_of]
        if not classified:
            return None
        first = min(classified, key=lambda row: (_required(row["created_at"]), row["message_id"]))
        return self.type_of[first["message_id"]]["type"]

    def working_hours(self, share: float) -> float | None:
        """Return a quantile of the working hours of the responses given in the week."""
        start, end = self.bounds()
        seconds = [
            int(clock["used_seconds"])
            for clock in self._counted_clocks()
            if clock["kind"] in ("first_response", "next_response")
            and clock["unit"] == "working"
            and (stopped := _moment(clock["stopped_at"])) is not None
            and start <= stopped < end
        ]
        found = _quantile(seconds, share)
        return None if found is None else round(found / 3600, 1)

    def _overdue(self) -> Iterator[tuple[str, str, int]]:
        for clock, _ in self.overdue_clocks():
            yield clock["organisation_id"], "overdue", 1

    def overdue_clocks(self) -> Iterator[tuple[Row, Row]]:
        """Yield clocks that were overdue at `as_of`, with their appeals."""
        for clock in self._counted_clocks():
            due, stopped = _moment(clock["due_at"]), _moment(clock["stopped_at"])
            unfinished = clock["state"] in ("waiting", "running", "paused")
            appeal = self.appeals[clock["appeal_id"]]
            if appeal["status"] == "triage" or self._closing(appeal, self.as_of):
                continue
            if due is not None and due < self.as_of and (unfinished or (stopped and stopped >= self.as_of)):
                yield clock, self.appeals[clock["appeal_id"]]

    def _answers(self) -> Iterator[tuple[str, str, int]]:
        start, end = self.bounds()
        published = [row for row in self.tables["replies"] if row["status"] == "published"]
        texts: dict[tuple[str, str], set[str]] = defaultdict(set)
        for reply in published:
            if self._is_long(reply) and start - timedelta(weeks=4) <= _required(reply["published_at"]) < end:
                texts[self._text_of(reply)].add(reply["appeal_id"])
        for reply in published:
            appeal = self.appeals[reply["appeal_id"]]
            if not start <= _required(reply["published_at"]) < end or appeal["status"] in _NO_ANSWER:
                continue
            organisation = appeal["organisation_id"]
            yield organisation, "answers", 1
            yield organisation, "comparable", int(self._is_long(reply))
            yield organisation, "canned", int(self._is_long(reply) and len(texts[self._text_of(reply)]) > 1)
            if reply["kind"] == "final":
                yield organisation, "final_answers", 1
                yield organisation, "with_outcome", int(reply["outcome"] != "")
                yield organisation, "solved", int(reply["outcome"] == "solved")
                here = reply["origin"] == "gospablik"
                yield organisation, "written_here", int(here)
                yield organisation, "with_proof", int(here and reply["attachment_ids"] not in ("", "{}"))
            checked = [row for row in self.versions[reply["id"]] if row["hints"]]
            if checked:
                last = max(checked, key=lambda row: int(row["number"]))
                codes = {hint["code"] for hint in json.loads(last["hints"])}
                yield organisation, "checked", 1
                yield organisation, "with_substance", int(not codes & {"no_action_or_date", "no_date"})
                yield organisation, "with_contact", int(not codes & {"no_contact", "redirect_without_contact"})
                unanswered = {"off_topic", "when_unanswered", "why_unanswered", "where_unanswered"}
                yield organisation, "to_the_point", int(not codes & unanswered)

    def _is_long(self, reply: Row) -> bool:
        return len(reply["text"]) >= 40 and not reply["incident_reply_id"]

    def _text_of(self, reply: Row) -> tuple[str, str]:
        text = re.sub(r"\s+", " ", reply["text"]).lower()
        organisation = self.appeals[reply["appeal_id"]]["organisation_id"]
        return organisation, hashlib.sha256(text.encode()).hexdigest()

    def _promises(self) -> Iterator[tuple[str, str, int]]:
        start, end = self.bounds()
        for promise in self.tables["promises"]:
            if start <= _required(promise["promised_at"]) < end:
                yield promise["organisation_id"], "promises_due", 1
                yield promise["organisation_id"], f"promises_{promise['status']}", 1

    def _feedback(self) -> Iterator[tuple[str, str, int]]:
        start, end = self.bounds()
        for said in self.tables["feedback_rounds"]:
            moment = _moment(said["said_at"])
            if moment is None or not start <= moment < end or said["kind"] == "silence":
                continue
            organisation = self.appeals[said["appeal_id"]]["organisation_id"]
            yield organisation, "not_solved_said", int(said["kind"] == "not_solved")
            if said["mark"]:
                yield organisation, "marks", 1
                yield organisation, "mark_sum", int(said["mark"])

    def _deleted(self) -> Iterator[tuple[str, str, int]]:
        start, end = self.bounds()
        for message in self.tables["messages"]:
            moment = _moment(message["deleted_at"])
            by_community = message["deleted_by"] == "community" and message["from_community"] == "f"
            classified = self.type_of.get(message["id"])
            if moment and by_community and start <= moment < end and classified:
                appeal = self.appeal_of.get(message["id"])
                spared = appeal is not None and appeal["status"] == "not_required"
                asked = classified["needs_answer"] == "yes" and not spared
                yield message["organisation_id"], "deleted", int(asked)

    def _closed(self) -> Iterator[tuple[str, str, int]]:
        start, end = self.bounds()
        for row in self.tables["appeals"]:
            closed = self._closing(row, end)
            answered = _moment(row["first_response_at"])
            if row["status"] in _NO_ANSWER or closed is None or (answered and answered < end):
                continue
            if row["closed_at"] and row["status"] != "closed":
                continue
            if self._had_reply(row, end):
                continue
            if start <= closed < end:
                yield row["organisation_id"], "closed_unanswered", 1

    def _closing(self, appeal: Row, moment: datetime) -> datetime | None:
        """Return when the appeal was closed, as of this moment; None if it was open at this moment."""
        closed = _moment(appeal["closed_at"])
        if closed and closed < moment:
            return closed
        found = None
        entries = [(_required(one["at"]), json.loads(one["data"])) for one in self.entries_of[appeal["id"]]]
        for at, data in entries:
            undone = any(
                later > at and "undone_since" in other and _required(other["undone_since"]) <= at
                for later, other in entries
            )
            if at < moment and not undone:
                found = at if data.get("to") == "closed" else None
        return found

    def _had_reply(self, appeal: Row, moment: datetime) -> bool:
        """Return whether a reply was public at this moment, even if it was withdrawn later."""
        for reply in self.replies_of[appeal["id"]]:
            published = _moment(reply["published_at"])
            if published and published < moment:
                withdrawn = self.withdrawn_at.get(reply["id"])
                if reply["status"] == "published" or (withdrawn and withdrawn >= moment):
                    return True
        return False

    def page_health(self) -> dict[str, Any] | None:
        """Return the lights of the week's pages, in total and by kind of organisation; None without scores."""
        now, before = self._scored_pages(0), self._scored_pages(1)
        if not any(score for _, _, score, _ in now):
            return None
        formulas = {formula for *_, formula in now}
        compared = formulas == {formula for *_, formula in before}
        kinds = {kind for kind, *_ in now + before}
        return {
            "formulas": sorted(
                (int(row["number"]), row["name"], int(row["green_from"]), int(row["yellow_from"]))
                for row in self.tables["page_score_formulas"]
                if row["id"] in formulas
            ),
            "all": _compared_lights(now, before, compared),
            **{
                kind: _compared_lights(
                    [one for one in now if one[0] == kind], [one for one in before if one[0] == kind], compared
                )
                for kind in kinds
            },
        }

    def _scored_pages(self, weeks_before: int) -> list[tuple[str, str, str, str]]:
        """Return the organisation's kind, the light, the score and the formula of each page scored in the week."""
        year, number, _ = self._monday(weeks_before).isocalendar()
        owner = {row["id"]: row["organisation_id"] for row in self.tables["pages"]}
        kind = {row["id"]: row["kind"] for row in self.tables["organisations"]}
        return [
            (kind[owner[row["page_id"]]], row["light"], row["score"], row["formula_id"])
            for row in self.tables["page_scores"]
            if row["week"] == f"{year}-W{number:02}"
        ]


def _compared_lights(now: Sequence[Any], before: Sequence[Any], compared: bool) -> dict[str, Any]:
    lights = ("green", "yellow", "red", "unknown")
    counts, former = (Counter(light for _, light, *_ in pages) for pages in (now, before))
    mean, former_mean = (_mean([Decimal(score) for _, _, score, _ in pages if score]) for pages in (now, before))
    change = mean - former_mean if compared and mean is not None and former_mean is not None else None
    return {
        "lights": {light: counts[light] for light in lights},
        "last_week": {light: former[light] for light in lights} if before else None,
        "changes": {light: counts[light] - former[light] for light in lights} if compared else None,
        "mean_score": None if mean is None else float(round(mean, 1)),
        "mean_last_week": float(round(former_mean, 1)) if compared and former_mean is not None else None,
        "change": None if change is None else float(round(change, 1)),
    }


def _mean(scores: Sequence[Decimal]) -> Decimal | None:
    return sum(scores, Decimal(0)) / len(scores) if scores else None


def _required(text: str) -> datetime:
    found = _moment(text)
    assert found is not None
    return found


def percent(part: int, whole: int) -> float | None:
    """Return a share in percent, to one decimal; 0 and 100 only if they are exact; None if `whole` is 0."""
    return _share(part, whole)
