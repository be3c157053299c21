"""What a run will suffer, drawn from its seed: clocks that differ, which token dies when, kills, the restart."""

import random
from dataclasses import dataclass
from typing import Literal

Until = Literal["replaced", "solved", "day_end"]

# Each kind hits so large a share of all calls of both networks; API errors are one kind.
RATE_OF_EACH = 0.05
KINDS = ("timeout", "truncated", "wrong_json", "duplicate", "reorder", "slow", "drop", "lost_response")
CODES = {"vk": (1, 6, 10), "ok": (1, 2)}
RATE = RATE_OF_EACH * (len(KINDS) + 1)
MIX = {
    network: [
        *({"kind": kind, "weight": 1} for kind in KINDS),
        *({"kind": "error", "code": code, "weight": 1 / len(codes)} for code in codes),
    ]
    for network, codes in CODES.items()
}
# How far clocks may be off, in seconds: of the networks and the worker; of the API, which must take our tokens of
# a minute.
SKEW, API_SKEW = 300.0, 3.0


@dataclass(frozen=True)
class Blow:
    """A standing error over one token, from `at` (a share of the run) until it is mended at `mended`."""

    network: str
    code: int
    kind: str
    number: int
    until: Until
    at: float
    mended: float
    methods: tuple[str, ...] | None = None


SENDING = ("messages.send", "wall.createComment")
# code, kind of token, until what, for which methods
_BLOWS: dict[str, list[tuple[int, str, Until, tuple[str, ...] | None]]] = {
    "vk": [
        (5, "service", "replaced", None),
        (9, "group", "day_end", SENDING),
        (14, "group", "solved", None),
        (17, "service", "solved", None),
        (27, "group", "replaced", None),
        (29, "service", "day_end", ("wall.get",)),
    ],
    "ok": [
        (8, "user", "day_end", ("discussions.addDiscussionComment",)),
        (11, "user", "day_end", ("discussions.getList",)),
        (102, "user", "replaced", None),
    ],
}


@dataclass(frozen=True)
class Plan:
    """The blows by time, and the moments of the kills and of the restart of Postgres, as shares of the run.

    `kills`: when which of our processes ends. `shifts`: how far whose clock is off, in seconds.
    """

    blows: list[Blow]
    kills: list[tuple[float, str]]
    restart: float
    shifts: dict[str, float]


def shifts(seed: int) -> dict[str, float]:
    """How far the clocks of the networks, the worker and the API are off; the worker's is the other way."""
    chance = random.Random(f"clocks {seed}")
    sign = chance.choice((-1, 1))
    return {
        "vk": sign * chance.uniform(SKEW / 2, SKEW),
        "ok": sign * chance.uniform(SKEW / 2, SKEW),
        "worker": -sign * chance.uniform(SKEW / 2, SKEW),
        "api": chance.uniform(-API_SKEW, API_SKEW),
    }


def drawn(seed: int, kills: int) -> Plan:
    """The plan of a seed: one blow of each code, each over another token of its kind, spread over the run."""
    chance = random.Random(seed)
    blows = []
    for network, listed in _BLOWS.items():
        shuffled = chance.sample(listed, len(listed))
        taken: dict[str, int] = {}
        for place, (code, kind, until, methods) in enumerate(shuffled):
            number = taken[kind] = taken.get(kind, -1) + 1
            at = (place + chance.uniform(0.1, 0.7)) / (len(listed) + 1)
            mended = min(at + chance.uniform(0.15, 0.3), 0.97)
            blows.append(Blow(network, code, kind, number, until, at, mended, methods))
    # Every kill falls into another part of the run, the restart among them.
    killed = [
        ((part + chance.uniform(0.1, 0.9)) / kills, "api" if part % 3 == 1 else "worker") for part in range(kills)
    ]
    return Plan(sorted(blows, key=lambda blow: blow.at), killed, chance.uniform(0.4, 0.6), shifts(seed))
