"""Print to the terminal: a line for each step, and the final table."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.embedded.settings import EmbeddedSettings


class ConsoleOutput:
    """Prints the progress of a start."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print a line with the duration of the step when it is done."""
        started = time.monotonic()
        yield
        self._console.print(f"[green]✓[/] {title} [dim]{time.monotonic() - started:.1f} s[/]", highlight=False)

    def note(self, text: str) -> None:
        """Print a note that is not an error."""
        self._console.print(f"[yellow]•[/] {escape(text)}", highlight=False, soft_wrap=True)

    def fail(self, text: str) -> None:
        """Print why the run failed."""
        self._console.print("[bold red]✗[/]", end=" ")
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def closing_table(self, settings: EmbeddedSettings, *, demo: bool, logs: str, mail: str) -> None:
        """Print the addresses of the run and, with `demo`, the accounts that can sign in."""
        table = Table(title="Gospablik is running", title_justify="left", show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        base = settings.url("gateway")
        table.add_row("Console", f"{base}/")
        table.add_row("API", f"{base}/api/v1")
        table.add_row("Documentation", f"{base}/docs")
        table.add_row("Health", f"{base}/health")
        table.add_row("VK emulator", settings.url("vk"))
        table.add_row("OK emulator", settings.url("ok"))
        table.add_row("Logs", logs)
        table.add_row("Letters", mail)
        if demo:
            table.add_section()
            table.add_row("Data", "all of it is made up: citizens, texts, history and figures")
            table.add_row("Sign in", f"at {base}/ or by POST {base}/api/v1/auth/token, password demo, as one of")
            table.add_row("  centre", "moderator of the centre, sees everything")
            table.add_row("  head", "reads reports")
            table.add_row("  analyst, auditor", "read the whole region; the auditor also reads the audit trail")
            table.add_row("  ops", "health, keys and access")
            table.add_row("  org", "staff of one organisation")
            table.add_row(
                "  manager, approver", "its manager, who gives access; its approver, who approves replies"
            )
        self._console.print(table)
        self._console.print("Ctrl-C stops everything; the data stays.", highlight=False)
