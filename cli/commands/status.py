"""The state of a live embedded run."""

import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli.embedded.data_dir import Layout
from cli.embedded.settings import EmbeddedSettings
from cli.embedded.supervisord import Supervisor, SupervisorError


def show(settings: EmbeddedSettings, console: Console) -> int:
    """Print one row for each process; answers 0 when all run, 1 otherwise."""
    layout = Layout(settings.data_dir.absolute())
    if not layout.stack.exists():
        console.print(f"Nothing runs in {layout.root}.", highlight=False)
        return 1
    stack = json.loads(layout.stack.read_text(encoding="utf-8"))
    try:
        states = Supervisor(Path(stack["supervisor_socket"])).states()
    except SupervisorError as error:
        console.print(f"The run in {layout.root} was killed: {error}", highlight=False)
        return 1
    table = Table("process", "state", "pid", "running since", "address")
    for name, process in states.items():
        since = (
            datetime.fromtimestamp(process.started, UTC).isoformat(timespec="seconds") if process.started else ""
        )
        address = stack["urls"].get("gateway" if name == "traefik" else name, "")
        table.add_row(name, process.state, str(process.pid or ""), since, address)
    console.print(table)
    return 0 if all(process.state == "RUNNING" for process in states.values()) else 1
