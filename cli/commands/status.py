"""Print the state of the current embedded run."""

import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli.embedded.data_dir import DataDir
from cli.embedded.settings import EmbeddedSettings
from cli.embedded.supervisord import Supervisor, SupervisorError


def show(settings: EmbeddedSettings, console: Console) -> int:
    """Print one row for each process. Return 0 when all run, 1 otherwise."""
    data_dir = DataDir(settings.data_dir.absolute())
    if not data_dir.run_info.exists():
        console.print(f"The system is not running in {data_dir.root}.", highlight=False)
        return 1
    run_info = json.loads(data_dir.run_info.read_text(encoding="utf-8"))
    try:
        states = Supervisor(Path(run_info["supervisor_socket"])).states()
    except SupervisorError as error:
        console.print(
            f"The run in {data_dir.root} was killed, start it again with `gospablik up`: {error}", highlight=False
        )
        return 1
    table = Table("process", "state", "pid", "running since", "address")
    for name, process in states.items():
        since = (
            datetime.fromtimestamp(process.started, UTC).isoformat(timespec="seconds") if process.started else ""
        )
        address = run_info["urls"].get("gateway" if name == "traefik" else name, "")
        table.add_row(name, process.state, str(process.pid or ""), since, address)
    console.print(table)
    return 0 if all(process.state == "RUNNING" for process in states.values()) else 1
