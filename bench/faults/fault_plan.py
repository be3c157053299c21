"""The faults of a run, drawn from its seed: clock skew, token errors, kills, the restart of Postgres."""

import random
from dataclasses import dataclass
from typing import Literal

Until = Literal["replaced", "solved", "day_end"]

# The share of calls of both networks that each kind of fault hits; all API errors are one kind.
RATE_PER_KIND = 0.05
KINDS = ("timeout", "truncated", "wrong_json", "duplicate", "reorder", "slow", "drop", "lost_response")
CODES = {"vk": (1, 6, 10), "ok": (1, 2)}
RATE = RATE_PER_KIND * (len(KINDS) + 1)
MIX = {
    network: [
        *({"kind": kind, "weight": 1} for kind in KINDS),
        *({"kind": "error", "code": code, "weight": 1 / len(codes)} for code in codes),
    ]
    for network, codes in CODES.items()
}
# Maximum clock skew in seconds: of the networks and the worker; and of the API, whose skew is small because it
# must accept service tokens that are valid for one minute.
SKEW, API_SKEW = 300.0, 3.0


@dataclass(frozen=True)
class PlannedFault:
    """An error of all calls with one token, from `at` to `repaired_at` (shares of the run)."""

    network: str
    code: int
    kind: str
    number: int
    until: Until
    at: float
    repaired_at: float
    methods: tuple[str, ...] | None = None


SENDING = ("messages.send", "wall.createComment")
# (code, kind of token, what ends the error, methods)
_TOKEN_FAULTS: dict[str, list[tuple[int, str, Until, tuple[str, ...] | None]]] = {
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
    """Token faults ordered by time, kills and the restart of Postgres; times are shares of the run.

    `kills`: (time, process). `clock_shifts`: the shift of each clock in seconds.
    """

    token_faults: list[PlannedFault]
    kills: list[tuple[float, str]]
    restart: float
    clock_shifts: dict[str, float]


def clock_shifts(seed: int) -> dict[str, float]:
    """Return the clock shifts in seconds; the worker's has the opposite sign of the networks'."""
    rng = random.Random(f"clocks {seed}")
    sign = rng.choice((-1, 1))
    return {
        "vk": sign * rng.uniform(SKEW / 2, SKEW),
        "ok": sign * rng.uniform(SKEW / 2, SKEW),
        "worker": -sign * rng.uniform(SKEW / 2, SKEW),
        "api": rng.uniform(-API_SKEW, API_SKEW),
    }


def draw_plan(seed: int, kills: int) -> Plan:
    """Return the plan of a seed: one fault per error code, each for a different token of its kind."""
    rng = random.Random(seed)
    faults = []
    for network, listed in _TOKEN_FAULTS.items():
        shuffled = rng.sample(listed, len(listed))
        numbers: dict[str, int] = {}
        for index, (code, kind, until, methods) in enumerate(shuffled):
            number = numbers[kind] = numbers.get(kind, -1) + 1
            at = (index + rng.uniform(0.1, 0.7)) / (len(listed) + 1)
            repaired_at = min(at + rng.uniform(0.15, 0.3), 0.97)
            faults.append(PlannedFault(network, code, kind, number, until, at, repaired_at, methods))
    # Divide the run into as many parts as kills, with one kill in each.
    kill_times = [
        ((part + rng.uniform(0.1, 0.9)) / kills, "api" if part % 3 == 1 else "worker") for part in range(kills)
    ]
    return Plan(sorted(faults, key=lambda fault: fault.at), kill_times, rng.uniform(0.4, 0.6), clock_shifts(seed))
