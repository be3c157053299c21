"""Persistent faults of single tokens, and counts of the calls with each token."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Literal

from emulators.common.clock import EmulatorClock
from emulators.common.errors import UnknownError
from emulators.common.store import EmulatorStore, Row

Until = Literal["replaced", "solved", "day_end", "cleared"]
CAPTCHA = 14
"""The error (captcha) that ends only when a call contains the solution."""


class PersistentFaults:
    """Persistent faults and the call counts of every token, saved in the store.

    The network must use `check_call` once for each call, before it validates the token.
    """

    def __init__(self, store: EmulatorStore, clock: EmulatorClock) -> None:
        self._store = store
        self._clock = clock
        self.before_call: Callable[[], None] = lambda: None
        """Called before a call is checked for persistent faults."""

    def arm(
        self, token: str, code: int, until: Until, *, methods: list[str] | None, kind: str, page: str | None
    ) -> None:
        """Make calls of `methods` (None: all methods) with the token fail with the error.

        `kind` and `page` identify the new token that will replace it.
        """
        self._store.execute(
            "INSERT INTO persistent_faults (token, code, methods, until, kind, page, day, since_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                token,
                code,
                None if methods is None else json.dumps(methods),
                until,
                kind,
                page,
                self._clock.day(),
                self._clock.now_ms(),
            ),
        )

    def check_call(self, token: str | None, method: str, params: Mapping[str, str]) -> int | None:
        """Count one call of a token and return the code of its persistent error, or None.

        A call that carries the solution of a captcha ends the captcha fault.
        """
        if not token:
            return None
        self.before_call()
        code = None
        with self._store.transaction():
            for row in self._active(token):
                if row["methods"] is not None and method not in json.loads(row["methods"]):
                    continue
                if _carries_solution(row, params):
                    self._end(row["id"], "solved")
                    continue
                self._store.execute("UPDATE persistent_faults SET calls = calls + 1 WHERE id = ?", (row["id"],))
                code = int(row["code"])
                break
            self._store.execute(
                "INSERT INTO token_calls (token, calls, while_faulty) VALUES (?, 1, ?)"
                " ON CONFLICT (token) DO UPDATE SET calls = calls + 1,"
                " while_faulty = while_faulty + excluded.while_faulty,"
                " after_revoked = after_revoked + revoked",
                (token, int(code is not None)),
            )
        return code

    def is_active(self, token: str, method: str, code: int) -> bool:
        """Return whether a token has this persistent error for a method; counts no call."""
        return any(
            row["code"] == code and (row["methods"] is None or method in json.loads(row["methods"]))
            for row in self._active(token)
        )

    def token_replaced(self, kind: str, page: str | None) -> None:
        """Record that a new token of the kind was issued: the faults of the replaced tokens stay."""
        self._store.execute(
            "UPDATE persistent_faults SET replaced = 1"
            " WHERE until = 'replaced' AND kind = ? AND page IS ? AND ended IS NULL",
            (kind, page),
        )

    def solve_challenge(self, token: str) -> dict[str, Any]:
        """Solve the challenge of a token and return the solution.

        The next call must carry the solution of a captcha; other challenges end at once. Raises `UnknownError`
        if the token has no challenge.
        """
        rows = [row for row in self._active(token) if row["until"] == "solved"]
        if not rows:
            raise UnknownError("this token has no challenge to solve")
        row = rows[0]
        if row["code"] != CAPTCHA:
            self._end(row["id"], "solved")
            return {"code": row["code"], "success_token": None, "captcha_key": None, "ended": True}
        answer = {"success_token": secrets.token_urlsafe(24), "captcha_key": secrets.token_hex(3)}
        self._store.execute(
            "UPDATE persistent_faults SET success_token = ?, captcha_key = ? WHERE id = ?",
            (answer["success_token"], answer["captcha_key"], row["id"]),
        )
        return {"code": row["code"], **answer, "ended": False}

    def clear(self, token: str | None = None) -> None:
        """End the persistent faults of one token, or of all."""
        self._store.execute(
            "UPDATE persistent_faults SET ended = 'cleared' WHERE ended IS NULL AND (?1 IS NULL OR token = ?1)",
            (token,),
        )

    def token_revoked(self, token: str) -> None:
        """Start counting the further calls of a revoked token."""
        self._store.execute(
            "INSERT INTO token_calls (token, revoked) VALUES (?, 1) ON CONFLICT (token) DO UPDATE SET revoked = 1",
            (token,),
        )

    def items(self) -> list[dict[str, Any]]:
        """Return all persistent faults, oldest first, including ended faults with the reason of their end."""
        self._end_day()
        return [
            {
                "token": row["token"],
                "code": row["code"],
                "methods": None if row["methods"] is None else json.loads(row["methods"]),
                "until": row["until"],
                "active": row["ended"] is None,
                "replaced": bool(row["replaced"]),
                "ended": row["ended"],
                "calls": row["calls"],
            }
            for row in self._store.all("SELECT * FROM persistent_faults ORDER BY id")
        ]

    def codes(self) -> dict[str, int]:
        """Return the code of the active persistent error by token."""
        self._end_day()
        rows = self._store.all("SELECT token, code FROM persistent_faults WHERE ended IS NULL ORDER BY id DESC")
        return {row["token"]: row["code"] for row in rows}

    def calls_by_token(self) -> dict[str, dict[str, int]]:
        """Return counts of calls by token: all, during a persistent fault, after revocation."""
        return {
            row["token"]: {
                "calls": row["calls"],
                "while_faulty": row["while_faulty"],
                "after_revoked": row["after_revoked"],
            }
            for row in self._store.all("SELECT * FROM token_calls ORDER BY token")
        }

    def _active(self, token: str) -> list[Row]:
        self._end_day()
        return self._store.all(
            "SELECT * FROM persistent_faults WHERE token = ? AND ended IS NULL ORDER BY id", (token,)
        )

    def _end_day(self) -> None:
        self._store.execute(
            "UPDATE persistent_faults SET ended = 'day_end' WHERE ended IS NULL AND until = 'day_end' AND day < ?",
            (self._clock.day(),),
        )

    def _end(self, ident: int, how: str) -> None:
        self._store.execute("UPDATE persistent_faults SET ended = ? WHERE id = ?", (how, ident))


def _carries_solution(row: Row, params: Mapping[str, str]) -> bool:
    if row["until"] != "solved" or row["success_token"] is None:
        return False
    return any(params.get(name) == row[name] for name in ("success_token", "captcha_key"))
