"""Faults that stand over one token until something ends them, and how often each token called meanwhile."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Literal

from emulators.common.clock import EmulatorClock
from emulators.common.errors import UnknownError
from emulators.common.store import EmulatorStore, Row

Until = Literal["replaced", "solved", "day_end", "cleared"]
CAPTCHA = 14
"""The one error that a person's solution ends only when a call carries it."""


class PersistentFaults:
    """Standing faults and the calls of every token; all of it is in the store.

    A network calls `meet` once for each call, before it checks the token itself.
    """

    def __init__(self, store: EmulatorStore, clock: EmulatorClock) -> None:
        self._store = store
        self._clock = clock
        self.before_call: Callable[[], None] = lambda: None
        """Called before a call meets what stands over its token."""

    def arm(
        self, token: str, code: int, until: Until, *, methods: list[str] | None, kind: str, page: str | None
    ) -> None:
        """From now on calls with the token get the error; `kind` and `page` tell what would replace it."""
        self._store.insert(
            "INSERT INTO standing_faults (token, code, methods, until, kind, page, day, since_ms)"
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
        """Count one call of a token and tell the error that stands over it, if one does.

        A call that carries the solution of a captcha ends that fault and goes on.
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
                self._store.insert("UPDATE standing_faults SET calls = calls + 1 WHERE id = ?", (row["id"],))
                code = int(row["code"])
                break
            self._store.insert(
                "INSERT INTO token_calls (token, calls, while_standing) VALUES (?, 1, ?)"
                " ON CONFLICT (token) DO UPDATE SET calls = calls + 1,"
                " while_standing = while_standing + excluded.while_standing,"
                " after_revoked = after_revoked + revoked",
                (token, int(code is not None)),
            )
        return code

    def is_active(self, token: str, method: str, code: int) -> bool:
        """Whether an error stands over a token for a method; asking counts no call."""
        return any(
            row["code"] == code and (row["methods"] is None or method in json.loads(row["methods"]))
            for row in self._active(token)
        )

    def token_replaced(self, kind: str, page: str | None) -> None:
        """A fresh token of the kind was issued: those that waited for it are dead for good."""
        self._store.insert(
            "UPDATE standing_faults SET replaced = 1"
            " WHERE until = 'replaced' AND kind = ? AND page IS ? AND ended IS NULL",
            (kind, page),
        )

    def solve_challenge(self, token: str) -> dict[str, Any]:
        """A person solves what stands over a token.

        A captcha's solution has to be carried by a call; anything else is over at once. Raises
        `UnknownError` when nothing to be solved stands over the token.
        """
        rows = [row for row in self._active(token) if row["until"] == "solved"]
        if not rows:
            raise UnknownError("nothing to be solved stands over this token")
        row = rows[0]
        if row["code"] != CAPTCHA:
            self._end(row["id"], "solved")
            return {"code": row["code"], "success_token": None, "captcha_key": None, "ended": True}
        answer = {"success_token": secrets.token_urlsafe(24), "captcha_key": secrets.token_hex(3)}
        self._store.insert(
            "UPDATE standing_faults SET success_token = ?, captcha_key = ? WHERE id = ?",
            (answer["success_token"], answer["captcha_key"], row["id"]),
        )
        return {"code": row["code"], **answer, "ended": False}

    def clear(self, token: str | None = None) -> None:
        """End what stands over one token, or over all."""
        self._store.insert(
            "UPDATE standing_faults SET ended = 'cleared' WHERE ended IS NULL AND (?1 IS NULL OR token = ?1)",
            (token,),
        )

    def token_revoked(self, token: str) -> None:
        """Count the further calls of a token that the network itself has ended."""
        self._store.insert(
            "INSERT INTO token_calls (token, revoked) VALUES (?, 1) ON CONFLICT (token) DO UPDATE SET revoked = 1",
            (token,),
        )

    def items(self) -> list[dict[str, Any]]:
        """All standing faults there ever were, oldest first, with what ended them."""
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
            for row in self._store.all("SELECT * FROM standing_faults ORDER BY id")
        ]

    def codes(self) -> dict[str, int]:
        """The error that stands over each token, where one does."""
        self._end_day()
        rows = self._store.all("SELECT token, code FROM standing_faults WHERE ended IS NULL ORDER BY id DESC")
        return {row["token"]: row["code"] for row in rows}

    def calls_by_token(self) -> dict[str, dict[str, int]]:
        """Calls of each token: all, those met by a standing fault, those after it was revoked."""
        return {
            row["token"]: {
                "calls": row["calls"],
                "while_standing": row["while_standing"],
                "after_revoked": row["after_revoked"],
            }
            for row in self._store.all("SELECT * FROM token_calls ORDER BY token")
        }

    def _active(self, token: str) -> list[Row]:
        self._end_day()
        return self._store.all(
            "SELECT * FROM standing_faults WHERE token = ? AND ended IS NULL ORDER BY id", (token,)
        )

    def _end_day(self) -> None:
        self._store.insert(
            "UPDATE standing_faults SET ended = 'day_end' WHERE ended IS NULL AND until = 'day_end' AND day < ?",
            (self._clock.day(),),
        )

    def _end(self, ident: int, how: str) -> None:
        self._store.insert("UPDATE standing_faults SET ended = ? WHERE id = ?", (how, ident))


def _carries_solution(row: Row, params: Mapping[str, str]) -> bool:
    if row["until"] != "solved" or row["success_token"] is None:
        return False
    return any(params.get(name) == row[name] for name in ("success_token", "captcha_key"))
