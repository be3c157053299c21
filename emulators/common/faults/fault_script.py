"""A script of faults: what is to happen after so many calls or so much time, in order."""

import json
from collections.abc import Callable
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.errors import BadInputError, UnknownError
from emulators.common.store import EmulatorStore

STATE = "script"


class FaultScript:
    """One script at a time; its place in it outlives a crash.

    A step waits from the moment its elder was carried out. Time is looked at when a call comes or when
    the control door is asked, so a step may be carried out late but never unseen.
    """

    def __init__(
        self, store: EmulatorStore, clock: EmulatorClock, carry_out: Callable[[dict[str, Any]], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._carry_out = carry_out
        kept = store.get_value(STATE)
        self._state: dict[str, Any] = json.loads(kept) if kept else self._fresh([])

    def _fresh(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return {"steps": steps, "done": 0, "calls": 0, "since_ms": self._clock.now_ms(), "failed": {}}

    def start(self, steps: list[dict[str, Any]]) -> None:
        """Replace the script; its first step waits from now on."""
        self._state = self._fresh(steps)
        self._keep()
        self.run_due_steps()

    def count_call(self) -> None:
        """Carry out what is due before a call, then count the call."""
        if self._state["done"] == len(self._state["steps"]):
            return
        self.run_due_steps()
        self._state["calls"] += 1
        self._keep()

    def run_due_steps(self) -> None:
        """Carry out what is due now."""
        state = self._state
        while state["done"] < len(state["steps"]):
            step = state["steps"][state["done"]]
            seconds = step.get("after_seconds")
            if seconds is not None:
                due = self._clock.now_ms() - state["since_ms"] >= seconds * 1000
                since = state["since_ms"] + int(seconds * 1000)
            else:
                due = state["calls"] >= step["after_calls"]
                since = self._clock.now_ms()
            if not due:
                return
            try:
                self._carry_out(step["do"])
            except (UnknownError, BadInputError) as error:
                state["failed"][str(state["done"])] = str(error)
            state.update(done=state["done"] + 1, calls=0, since_ms=since)
            self._keep()

    def to_dict(self) -> dict[str, Any]:
        """The steps with their states, how many are done, and the calls counted for the next one."""
        self.run_due_steps()
        done = self._state["done"]
        steps = []
        for number, step in enumerate(self._state["steps"]):
            failed = self._state["failed"].get(str(number))
            state = "waiting" if number >= done else "failed" if failed else "done"
            steps.append({**step, "state": state, "error": failed})
        return {"steps": steps, "done": done, "calls": self._state["calls"]}

    def _keep(self) -> None:
        self._store.set_value(STATE, json.dumps(self._state))
