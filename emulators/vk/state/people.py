"""People of the emulated VK: generated citizens and the pages' staff."""

import random
from typing import Any

from emulators.common.citizens import generate_citizens
from emulators.common.store import EmulatorStore

FIRST_CITIZEN = 700_000_001
STAFF_ID = 600_000_001
"""The id of the only staff member, who writes for every page."""


class People:
    """People by user id; an id outside the population is a person too, with a name derived from the id."""

    def __init__(self, store: EmulatorStore, size: int, seed: int, base_url: str) -> None:
        self._store = store
        self._citizens = generate_citizens(size, seed)
        self._random = random.Random(seed)
        self._base_url = base_url

    def random_citizen(self) -> int:
        """Return the id of a random citizen."""
        return FIRST_CITIZEN + self._random.randrange(len(self._citizens))

    def profile(self, user_id: int) -> dict[str, Any]:
        """Return the user object as in `profiles`."""
        number = user_id - FIRST_CITIZEN
        first, last, female = "Житель", f"№ {user_id}", False
        if 0 <= number < len(self._citizens):
            citizen = self._citizens[number]
            first, last, female = citizen.first_name, citizen.last_name, citizen.female
        elif user_id == STAFF_ID:
            first, last = "Сотрудник", "Сообщества"
        gone = self.deactivated(user_id)
        photo = f"{self._base_url}/images/{'camera' if gone is None else 'deactivated'}_50.png"
        profile = {
            "id": user_id,
            "first_name": first,
            "last_name": last,
            "sex": 1 if female else 2,
            "screen_name": f"id{user_id}",
            "photo_50": photo,
            "photo_100": photo,
            "online": 0,
        }
        if gone is None:
            return profile | {"can_access_closed": True, "is_closed": False}
        if gone == "deleted":
            profile |= {"first_name": "DELETED", "last_name": "", "sex": 0}
        return profile | {"deactivated": gone}

    def deactivated(self, user_id: int) -> str | None:
        """Return `deleted` or `banned` for a deactivated person."""
        how: str | None = self._store.value("SELECT deactivated FROM people_gone WHERE id = ?", (user_id,))
        return how

    def deactivate(self, user_id: int, how: str | None) -> None:
        """Deactivate a user, or (None) reactivate them."""
        if how is None:
            self._store.execute("DELETE FROM people_gone WHERE id = ?", (user_id,))
        else:
            self._store.execute(
                "INSERT OR REPLACE INTO people_gone (id, deactivated) VALUES (?, ?)", (user_id, how)
            )
