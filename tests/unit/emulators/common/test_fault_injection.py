"""Mixed and persistent faults, scripts and the emulator's day, also after a restart."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulators.common.clock import EmulatorClock
from emulators.common.errors import UnknownError
from emulators.common.faults.fault_injector import FaultInjector
from emulators.common.faults.fault_script import FaultScript
from emulators.common.faults.fault_types import Fault, FaultMix
from emulators.common.store import EmulatorStore

Reopen = Callable[[], FaultInjector]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Reopen]:
    """Return a function that opens the same file again, as after a crash."""
    stores: list[EmulatorStore] = []

    def opened() -> FaultInjector:
        stores.append(EmulatorStore(tmp_path / "faults.sqlite3", ""))
        return FaultInjector(11, store=stores[-1], clock=EmulatorClock(day_seconds=10_000_000_000))

    yield opened
    for store in stores:
        store.close()


def mix(rate: float = 0.25) -> FaultMix:
    """Return a mix of six faults, with errors twice as likely as the rest."""
    parts = [Fault("error", code=code) for code in (1, 6, 10)]
    parts += [Fault("timeout"), Fault("truncated"), Fault("lost_response")]
    return FaultMix(parts, [2, 2, 2, 1, 1, 1], rate)


def test_mix_affects_a_quarter_of_calls_with_one_fault_each(reopen: Reopen) -> None:
    faults = reopen()
    faults.arm(mix())
    drawn = [faults.draw("any") for _ in range(4_000)]
    assert 900 < sum(map(bool, drawn)) < 1_100
    assert max(map(len, drawn)) == 1
    codes = Counter((hit[0].kind, hit[0].code) for hit in drawn if hit)
    assert len(codes) == 6
    assert 1.5 < codes[("error", 6)] / codes[("truncated", None)] < 2.7
    (shown,) = faults.armed()
    assert shown["calls"] == 4_000
    assert shown["hits"]["error 6"] == codes[("error", 6)]


def test_random_sequence_follows_seed_and_survives_crash(reopen: Reopen) -> None:
    def kinds(faults: FaultInjector, count: int) -> list[list[str]]:
        return [[fault.kind for fault in faults.draw("m")] for _ in range(count)]

    faults = reopen()
    faults.arm(mix())
    whole = kinds(faults, 200)
    faults.clear()
    faults.arm(mix())
    first = kinds(faults, 80)
    again = reopen()
    assert first + kinds(again, 120) == whole
    again.reseed(12)
    assert kinds(again, 200) != whole
    again.reseed(11)
    assert kinds(reopen(), 200) == whole


def test_count_of_next_faults_survives_crash(reopen: Reopen) -> None:
    faults = reopen()
    faults.arm(Fault("drop", next=2, methods=["a", "b"]))
    assert faults.draw("c") == []
    assert len(faults.draw("a")) == 1
    again = reopen()
    assert [len(again.draw("b")) for _ in range(2)] == [1, 0]
    assert reopen().armed() == []


def test_push_gets_its_own_faults_and_only_reorder_from_a_mix() -> None:
    faults = FaultInjector(1)
    faults.arm(Fault("drop", next=1))
    faults.arm(FaultMix([Fault("reorder"), Fault("timeout")], [1, 1], 1.0))
    kinds = Counter(fault.kind for _ in range(200) for fault in faults.draw_push("webhook"))
    assert set(kinds) == {"reorder"}
    assert 70 < kinds["reorder"] < 130
    faults.arm(Fault("drop", next=1, method="webhook"))
    assert "drop" in {fault.kind for fault in faults.draw_push("webhook")}
    assert faults.armed()[0] == Fault("drop", next=1).to_dict()


def set_persistent_fault(faults: FaultInjector, code: int, until: str, methods: list[str] | None = None) -> None:
    """Set a persistent fault for the token `t` of page 7."""
    faults.persistent.arm("t", code, until, methods=methods, kind="group", page="7")  # type: ignore[arg-type]


def test_persistent_fault_hits_token_and_methods_until_cleared(reopen: Reopen) -> None:
    faults = reopen()
    set_persistent_fault(faults, 14, "cleared", ["messages.send"])
    assert faults.persistent.check_call("t", "wall.get", {}) is None
    assert faults.persistent.check_call("other", "messages.send", {}) is None
    assert faults.persistent.check_call("t", "messages.send", {}) == 14
    faults = reopen()
    assert faults.persistent.check_call("t", "messages.send", {}) == 14
    assert faults.persistent.calls_by_token()["t"] == {"calls": 3, "while_faulty": 2, "after_revoked": 0}
    faults.persistent.clear("t")
    assert reopen().persistent.check_call("t", "messages.send", {}) is None
    assert faults.persistent.items()[0]["ended"] == "cleared"


def test_replaced_token_stays_invalid(reopen: Reopen) -> None:
    faults = reopen()
    set_persistent_fault(faults, 5, "replaced")
    faults.persistent.token_replaced("group", "8")
    assert not faults.persistent.items()[0]["replaced"]
    faults.persistent.token_replaced("group", "7")
    assert faults.persistent.items()[0]["replaced"]
    assert faults.persistent.check_call("t", "any", {}) == 5
    assert faults.persistent.check_call("fresh", "any", {}) is None


@pytest.mark.parametrize("field", ["success_token", "captcha_key"])
def test_captcha_ends_after_call_with_solution(reopen: Reopen, field: str) -> None:
    faults = reopen()
    set_persistent_fault(faults, 14, "solved")
    assert faults.persistent.check_call("t", "any", {field: ""}) == 14
    solved = faults.persistent.solve_challenge("t")
    assert not solved["ended"]
    faults = reopen()
    assert faults.persistent.check_call("t", "any", {}) == 14
    assert faults.persistent.check_call("t", "any", {field: "wrong"}) == 14
    assert faults.persistent.check_call("t", "any", {field: solved[field]}) is None
    assert faults.persistent.check_call("t", "any", {}) is None
    with pytest.raises(UnknownError):
        faults.persistent.solve_challenge("t")


def test_validation_ends_when_solved() -> None:
    faults = FaultInjector(1)
    set_persistent_fault(faults, 17, "solved")
    assert faults.persistent.check_call("t", "any", {}) == 17
    assert faults.persistent.solve_challenge("t")["ended"]
    assert faults.persistent.check_call("t", "any", {}) is None


def test_end_of_the_day_clears_faults_set_until_then(reopen: Reopen) -> None:
    faults = reopen()
    set_persistent_fault(faults, 29, "day_end", ["wall.get"])
    assert faults.persistent.check_call("t", "wall.get", {}) == 29
    day = faults.clock.day()
    assert faults.end_day() == day + 1
    assert faults.persistent.check_call("t", "wall.get", {}) is None
    assert reopen().clock.day() == day + 1


def test_calls_after_revocation_are_counted() -> None:
    persistent = FaultInjector(1).persistent
    assert persistent.check_call("t", "any", {}) is None
    persistent.token_revoked("t")
    assert persistent.check_call("t", "any", {}) is None
    assert persistent.calls_by_token()["t"] == {"calls": 2, "while_faulty": 0, "after_revoked": 1}


class SetClock(EmulatorClock):
    """A clock that the test sets."""

    ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms


def test_script_runs_in_order_and_survives_crash(tmp_path: Path) -> None:
    done: list[str] = []
    clock = SetClock()
    store = EmulatorStore(tmp_path / "script.sqlite3", "")

    def carry_out(step: dict[str, str]) -> None:
        if step["name"] == "missing":
            raise UnknownError("no such token")
        done.append(step["name"])

    script = FaultScript(store, clock, carry_out)
    script.start(
        [
            {"after_calls": 3, "do": {"name": "first"}},
            {"after_seconds": 5, "do": {"name": "second"}},
            {"after_calls": 0, "do": {"name": "missing"}},
            {"after_calls": 1, "do": {"name": "last"}},
        ]
    )
    for _ in range(3):
        script.count_call()
    assert done == []
    script = FaultScript(store, clock, carry_out)
    script.count_call()
    assert done == ["first"]
    clock.ms += 4_999
    assert [step["state"] for step in script.to_dict()["steps"]] == ["done", "waiting", "waiting", "waiting"]
    clock.ms += 1
    shown = script.to_dict()
    assert [step["state"] for step in shown["steps"]] == ["done", "done", "failed", "waiting"]
    assert shown["steps"][2]["error"] == "no such token"
    script.count_call()
    script.run_due_steps()
    assert done == ["first", "second", "last"]
    store.close()
