"""State files of an earlier version are upgraded when opened."""

import json
import sqlite3

from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.schema import ADDED_COLUMNS
from emulators.vk.settings import VkSettings


def test_file_without_the_added_columns_is_upgraded(settings: VkSettings) -> None:
    first = EmulatedVk(settings)
    first.create_page(name="Школа № 1", screen_name="school1")
    first.store.close()
    with sqlite3.connect(settings.data) as connection:
        for table, column, _ in ADDED_COLUMNS:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("DROP TABLE callback_servers")
    connection.close()
    again = EmulatedVk(settings)
    assert again.page("school1")["comments"] == "open"
    assert again.wall.newest_post(again.page("school1")["id"]) == 1
    assert again.callbacks.servers() == []
    again.store.close()


def test_persistent_faults_of_an_earlier_version_are_kept(settings: VkSettings) -> None:
    EmulatedVk(settings).store.close()
    step = {"after_calls": 5, "do": {"kind": "standing", "code": 5, "token": "t"}}
    with sqlite3.connect(settings.data) as connection:
        connection.execute("ALTER TABLE persistent_faults RENAME TO standing_faults")
        connection.execute("ALTER TABLE token_calls RENAME COLUMN while_faulty TO while_standing")
        connection.execute(
            "INSERT INTO standing_faults (token, code, until, kind, day, since_ms)"
            " VALUES ('t', 29, 'cleared', 'user', 0, 0)"
        )
        connection.execute("INSERT INTO token_calls (token, calls, while_standing) VALUES ('t', 3, 2)")
        connection.execute(
            "INSERT INTO emulator_state (name, value) VALUES ('script', ?)", (json.dumps({"steps": [step]}),)
        )
    connection.close()
    again = EmulatedVk(settings)
    assert again.store.value("SELECT code FROM persistent_faults WHERE token = 't'") == 29
    assert again.store.value("SELECT while_faulty FROM token_calls WHERE token = 't'") == 2
    assert '"kind": "persistent"' in (again.store.get_value("script") or "")
    again.store.close()
