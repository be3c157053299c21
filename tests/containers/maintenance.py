"""Steps of an operator, with the documented commands: backup, restore, key rotation, upgrade, rollback."""

import secrets
import time

from cryptography.fernet import Fernet

from cli.atomic_files import write_private
from tests.containers import citizens
from tests.containers.api import wait_until
from tests.containers.base_images import ensure_base_images
from tests.containers.documented import documented_lines, documented_snippets
from tests.containers.engine import LIST_VOLUMES, StepFailedError
from tests.containers.first_start import people
from tests.containers.installation import Installation

_ROTATE = "Rotate keys and passwords"
_WRITERS = "ingest-worker appeals-worker metrics-worker registry-worker webhooks-worker"


def backup(installation: Installation) -> str:
    """Back up, delete all volumes but the emulators', and restore: row counts must be equal and /health pass."""
    # Otherwise the workers keep reading the networks, and the counts change.
    installation.command(f"docker compose stop {_WRITERS}")
    before = citizens.counts(installation)
    began = time.monotonic()
    for line in documented_lines("maintenance", "Back up"):
        installation.command(line)
    saved = time.monotonic() - began
    size = (installation.folder / "gospablik.dump").stat().st_size / 1e6
    installation.command("docker compose down")
    # Keep the emulators' volume: networks do not lose data when an installation does.
    installation.command(f"docker volume rm $({LIST_VOLUMES} | grep -v emulators)")
    began = time.monotonic()
    *restore, end_sessions, end_browser_sessions, start = documented_lines("maintenance", "Restore")
    for line in restore:
        installation.command(line)
    after = citizens.counts(installation)
    if after != before:
        raise StepFailedError(f"before the backup {before}, after the restore {after}")
    ended = installation.command(end_sessions)
    if installation.sql("select count(*) from refresh_tokens where used_at is null and revoked_at is null") != "0":
        raise StepFailedError(f"sessions work after the restore; «{end_sessions}» says «{ended}»")
    ended = installation.command(end_browser_sessions)
    if installation.sql("select count(*) from console_sessions") != "0":
        raise StepFailedError(f"browsers are signed in after the restore; «{end_browser_sessions}» says «{ended}»")
    installation.command(start)
    wait_until(installation.passes, "/health says pass after the restore", seconds=60)
    restored = time.monotonic() - began
    installation.gospablik("registry", "audit verify")
    # The signing keys are new, because the documented restore does not include `keys.tar`.
    for person in installation.people.values():
        person.sign_out()
    return (
        f"saved in {saved:.0f} s ({size:.1f} MB), restored on an empty installation in {restored:.0f} s: "
        f"{before['messages']} messages, {before['appeals']} appeals, {before['audit']} rows of the audit trail"
    )


def rotate(installation: Installation) -> str:
    """Rotate signing keys, and passwords and keys of `.env`, as documented; then check messages and replies."""
    replace, *_ = [line for line in documented_snippets("maintenance", _ROTATE) if "--entrypoint rm" in line]
    prepare = "docker compose run --rm prepare"
    if prepare not in documented_snippets("maintenance", _ROTATE):
        raise StepFailedError("the documented lines for a signing key have changed")
    (restart,) = documented_lines("maintenance", "Restart the services")
    took = {}
    began = time.monotonic()
    for key in ("registry", "people"):
        installation.command(replace.replace("registry.jwk", f"{key}.jwk"))
    installation.command(prepare)
    installation.command(restart)
    wait_until(installation.passes, "/health says pass with new signing keys", seconds=120)
    # The moderator stays signed in, because the former public key is kept.
    installation.moderator.get("/me")
    took["signing keys"] = time.monotonic() - began
    began = time.monotonic()
    file = installation.folder / ".env"
    lines = dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())
    for name in ("GOSPABLIK_APPEALS_PASSWORD", "GOSPABLIK_INGEST_PASSWORD", "GOSPABLIK_CURSOR_KEY"):
        lines[name] = secrets.token_hex(24)
    newest = Fernet.generate_key().decode()
    lines["GOSPABLIK_ENCRYPTION_KEYS"] = f"{newest},{lines['GOSPABLIK_ENCRYPTION_KEYS']}"
    write_private(file, "".join(f"{name}={value}\n" for name, value in lines.items()))
    installation.up()
    took["passwords and keys of .env"] = time.monotonic() - began
    flow = citizens.run_flow(installation, 2)
    return f"{', '.join(f'{what} {seconds:.0f} s' for what, seconds in took.items())}; then {flow}"


def upgrade(installation: Installation, former: str, *, ask_registry: bool) -> str:
    """Install a former version, upgrade and roll back with the documented commands while citizens write."""
    lines = documented_lines("maintenance", "Upgrade and roll back")
    back_at = next(number for number, line in enumerate(lines) if "FORMER_TAG" in line)
    new = installation.engine.output("git rev-parse HEAD", folder=installation.folder)
    installation.remove()
    installation.clone(former)
    ensure_base_images(installation.engine, installation.folder, ask_registry=ask_registry)
    installation.build()
    installation.configure("(umask 077; set -C; docker run --rm gospablik generate-env > .env)")
    installation.up()
    people(installation)
    citizens.connect_region(installation)
    took: dict[str, float] = {}
    said: list[str] = []
    for direction, commands in (("upgrade", lines[:back_at]), ("back", lines[back_at:])):
        if direction == "back":
            with (installation.folder / ".env").open("a", encoding="utf-8") as file:
                file.write("GOSPABLIK_IMAGE=gospablik:before\n")

        def change(commands: list[str] = commands, direction: str = direction) -> None:
            began = time.monotonic()
            for line in commands:
                if line == "docker compose build":
                    installation.build()
                else:
                    installation.command(line.replace("NEW_TAG", new).replace("FORMER_TAG", former))
            took[direction] = time.monotonic() - began

        flow = citizens.run_flow(installation, 1, until_done=change)
        wait_until(installation.passes, f"/health says pass after {direction}", seconds=60)
        said.append(f"{direction} in {took[direction]:.0f} s: {flow}")
    installation.gospablik("registry", "audit verify")
    return f"{former[:8]} to {new[:8]} and back; {'; '.join(said)}; audit chain whole"
