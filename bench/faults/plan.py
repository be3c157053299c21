"""What a run will suffer, drawn from its seed: which token dies when and what mends it, kills, the restart."""

import random
from dataclasses import dataclass
from typing import Literal

Until = Literal["replaced", "solved", "day_end"]

# A quarter of all calls of both networks, API errors and transport together.
RATE = 0.25
COMMON = [
    {"kind": "timeout", "weight": 1},
    {"kind": "truncated", "weight": 2},
    {"kind": "wrong_json", "weight": 2},
    {"kind": "duplicate", "weight": 2},
    {"kind": "reorder", "weight": 2},
    {"kind": "slow", "weight": 1},
    {"kind": "drop", "weight": 2},
    {"kind": "lost_response", "weight": 2},
]
MIX = {
    "vk": [*COMMON, *({"kind": "error", "code": code, "weight": 2} for code in (1, 6, 10))],
    "ok": [*COMMON, *({"kind": "error", "code": code, "weight": 3} for code in (1, 2))],
}


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
    """The blows by time, and the moments of the kills and of the restart of Postgres, as shares of the run."""

    blows: list[Blow]
    kills: list[float]
    restart: float


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
    killed = [(part + chance.uniform(0.1, 0.9)) / kills for part in range(kills)]
    return Plan(sorted(blows, key=lambda blow: blow.at), killed, chance.uniform(0.4, 0.6))
