"""A script of faults: steps executed in order, each after a number of calls or a time."""

import json
from collections.abc import Callable
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.errors import BadInputError, UnknownError
from emulators.common.store import EmulatorStore

STATE = "script"


class FaultScript:
    """Runs one script at a time; its position survives a crash.

    A step's wait starts when the previous step is executed. Time is checked on calls and on requests to the
    control API: a step may run late, but always before the next call or request.
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
        """Replace the script; the wait of its first step starts now."""
        self._state = self._fresh(steps)
        self._keep()
        self.run_due_steps()

    def count_call(self) -> None:
        """Run the steps due before a call, then count the call."""
        if self._state["done"] == len(self._state["steps"]):
            return
        self.run_due_steps()
        self._state["calls"] += 1
        self._keep()

    def run_due_steps(self) -> None:
        """Run the steps due now."""
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
        """Return the steps with their states, the number of finished steps, and the calls since the last step."""
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
