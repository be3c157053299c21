"""Types of armed faults: a single fault, or a mix by weight."""

import random
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

FaultKind = Literal[
    "error",
    "timeout",
    "truncated",
    "wrong_json",
    "duplicate",
    "reorder",
    "slow",
    "drop",
    "lost_response",
]


@dataclass
class Fault:
    """One armed fault: hits a share of the calls (`rate`) or a number of next calls (`next`)."""

    kind: FaultKind
    rate: float | None = None
    next: int | None = None
    method: str | None = None
    code: int | None = None
    seconds: float | None = None
    methods: list[str] | None = None

    def target_methods(self) -> list[str] | None:
        """Return the methods to which the fault is limited; None: all methods."""
        return self.methods if self.method is None else [self.method, *(self.methods or ())]

    def applies_to(self, method: str) -> bool:
        """Return whether calls of the method may be hit."""
        names = self.target_methods()
        return names is None or method in names

    def draw(self, source: random.Random) -> "Fault | None":
        """Return the fault if it hits this call, else None; lowers `next` by one."""
        if self.next is None:
            return self if source.random() < (self.rate or 0) else None
        self.next -= 1
        return self

    def is_exhausted(self) -> bool:
        """Return whether the fault cannot hit any more calls."""
        return self.next is not None and self.next <= 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fault as shown by the control API and saved in the store."""
        return asdict(self)


@dataclass
class FaultMix:
    """A mix of faults: a share `rate` of the calls is hit, each by one fault chosen by weight."""

    mix: list[Fault]
    weights: list[float]
    rate: float
    methods: list[str] | None = None
    calls: int = 0
    hits: dict[str, int] = field(default_factory=dict)

    def target_methods(self) -> list[str] | None:
        """Return the methods to which the mix is limited; None: all methods."""
        return self.methods

    def applies_to(self, method: str) -> bool:
        """Return whether calls of the method may be hit."""
        return self.methods is None or method in self.methods

    def draw(self, source: random.Random) -> Fault | None:
        """Return the fault that hits this call, or None; counts the call."""
        self.calls += 1
        if source.random() >= self.rate:
            return None
        (chosen,) = source.choices(self.mix, self.weights)
        name = chosen.kind if chosen.code is None else f"{chosen.kind} {chosen.code}"
        self.hits[name] = self.hits.get(name, 0) + 1
        return chosen

    def is_exhausted(self) -> bool:
        """Return False: a mix has a rate and no number of calls."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return the mix as shown by the control API and saved in the store."""
        parts = [
            {"kind": part.kind, "code": part.code, "seconds": part.seconds, "weight": weight}
            for part, weight in zip(self.mix, self.weights, strict=True)
        ]
        return {
            "kind": "mix",
            "mix": parts,
            "rate": self.rate,
            "methods": self.methods,
            "calls": self.calls,
            "hits": self.hits,
        }


ArmedFault = Fault | FaultMix


def fault_from_dict(shown: dict[str, Any]) -> ArmedFault:
    """Return the fault or mix that this result of `to_dict` describes."""
    if shown["kind"] != "mix":
        return Fault(**shown)
    parts = shown["mix"]
    faults = [Fault(part["kind"], code=part["code"], seconds=part["seconds"]) for part in parts]
    weights = [part["weight"] for part in parts]
    return FaultMix(faults, weights, shown["rate"], shown["methods"], shown["calls"], shown["hits"])
