"""State files of an earlier version are upgraded when opened."""

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
