"""Random outcomes of made-up appeals: when and how they are answered, and the citizen's feedback."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cli.demo.past import matters
from cli.demo.past.matters import Matter
from shared.clock import REGION_TIME_ZONE
from shared.working_time import WorkingCalendar, add_working_time

ReplyKind = Literal["interim", "final"]
_INTERIM_SHARE, _KEPT_SHARE, _MOVED_SHARE = 0.18, 0.78, 0.12


@dataclass(frozen=True)
class PlannedReply:
    """A reply to write.

    `promised_at`: the date that an interim reply promises. `outcome`: the result that a final reply states.
    `in_network`: staff wrote the reply in the network itself.
    """

    at: datetime
    kind: ReplyKind
    text: str
    promised_at: datetime | None = None
    outcome: str | None = None
    in_network: bool = False


@dataclass(frozen=True)
class PlannedWord:
    """The citizen's feedback on the final answer."""

    at: datetime
    kind: Literal["thanks", "not_solved", "mark"]
    text: str
    mark: int | None = None


def first_reply_at(
    rng: random.Random, quality: float, calendar: WorkingCalendar, started: datetime, target: timedelta
) -> datetime:
    """Return the moment of the first reply: organisations of high quality mostly meet the deadline."""
    on_time = rng.random() < 0.5 + 0.48 * quality
    share = rng.betavariate(1.3, 2) * 0.96 + 0.02 if on_time else rng.uniform(1.05, 4)
    # Staff answer in working time, and never in the first seconds.
    return add_working_time(calendar, started, share * target)[0] + timedelta(seconds=rng.randrange(20, 60))


def planned_replies(
    rng: random.Random, quality: float, matter: Matter, first_at: datetime, street: str
) -> list[PlannedReply]:
    """Return the replies to an appeal, oldest first; the first is at `first_at`."""
    in_network = rng.random() < 0.2
    # A reply written in the network itself promises no date.
    if in_network or rng.random() >= _INTERIM_SHARE:
        return [final_reply(rng, quality, matter, first_at, street, in_network=in_network)]
    promised = _date_after(rng, first_at)
    replies = [PlannedReply(first_at, "interim", _promise(rng.choice(matters.PROMISES), promised), promised)]
    fate = rng.random()
    if fate < _MOVED_SHARE:
        moved_at = promised - timedelta(hours=rng.uniform(2, 20))
        promised = _date_after(rng, promised)
        replies.append(PlannedReply(moved_at, "interim", _promise(matters.LATER_PROMISE, promised), promised))
    kept = rng.random() < _KEPT_SHARE + 0.3 * (quality - 0.5)
    delay = -timedelta(hours=rng.uniform(1, 20)) if kept else timedelta(hours=rng.uniform(5, 150))
    replies.append(final_reply(rng, quality, matter, max(promised + delay, replies[-1].at), street))
    return replies


def final_reply(
    rng: random.Random, quality: float, matter: Matter, at: datetime, street: str, *, in_network: bool = False
) -> PlannedReply:
    """Return a final answer: a solution, an explanation, or a canned text."""
    kind = rng.random()
    if kind > 0.62 + 0.33 * quality:
        text, outcome = rng.choice(matters.CANNED), rng.choice(("explained", "not_solved"))
    elif rng.random() < 0.28:
        text, outcome = rng.choice(matters.EXPLANATIONS), "explained"
    else:
        text, outcome = rng.choice(matters.ANSWERS), "solved"
    action = rng.choice(matter.actions)
    filled = text.format(
        action=action,
        lower=action[0].lower() + action[1:],
        date=_day(at),
        room=rng.randrange(3, 40),
        street=street,
    )
    # A reply written in the network has no outcome.
    return PlannedReply(at, "final", filled, outcome=None if in_network else outcome, in_network=in_network)


def word_after(rng: random.Random, reply: PlannedReply) -> PlannedWord | None:
    """Return the citizen's feedback on a final answer, or None: most citizens give none."""
    at = reply.at + timedelta(hours=rng.uniform(0.3, 20))
    chance = rng.random()
    if chance < 0.1:
        return PlannedWord(at, "thanks", rng.choice(matters.THANKS))
    if chance < (0.14 if reply.outcome == "solved" else 0.24):
        return PlannedWord(at, "not_solved", rng.choice(matters.NOT_SOLVED))
    if chance > 0.92:
        mark = rng.choice((4, 5, 5))
        return PlannedWord(at, "mark", str(mark), mark)
    return None


def _date_after(rng: random.Random, moment: datetime) -> datetime:
    day = moment.astimezone(REGION_TIME_ZONE) + timedelta(days=rng.randrange(2, 13))
    return day.replace(hour=18, minute=0, second=0, microsecond=0)


def _promise(text: str, promised: datetime) -> str:
    return text.format(date=_day(promised))


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(REGION_TIME_ZONE):%d.%m.%Y}"
