"""The lines that `make test-containers` reads from the documentation of operations."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.containers.base_images import base_images
from tests.containers.documented import documented_lines, documented_snippets
from tests.containers.installation import ROOT


@pytest.mark.parametrize(
    ("page", "heading", "programs"),
    [
        (
            "deployment",
            "The first start",
            ["docker compose build", "(umask", "docker compose up", "docker compose exec"],
        ),
        ("maintenance", "Back up", ["(umask"] * 3),
        (
            "maintenance",
            "Restore",
            [
                "docker compose up",
                "docker compose run",
                "docker compose exec",
                "docker compose run",
                "docker compose run",
                "docker compose run",
                "docker compose up",
            ],
        ),
    ],
)
def test_documented_sections_have_the_expected_commands(page: str, heading: str, programs: list[str]) -> None:
    lines = documented_lines(page, heading)
    assert len(lines) == len(programs)
    for line, program in zip(lines, programs, strict=True):
        assert line.startswith(program)


def test_continued_line_is_read_as_one_command() -> None:
    (restore,) = [line for line in documented_lines("maintenance", "Restore") if "pg_restore" in line]
    assert restore.endswith("< gospablik.dump")
    assert "\\" not in restore


def test_restored_sessions_are_ended_before_the_start() -> None:
    *_, of_people, of_browsers, start = documented_lines("maintenance", "Restore")
    assert of_people.endswith(" registry end-sessions")
    assert of_browsers.endswith(" console end-browser-sessions")
    assert start == "docker compose up -d --wait"


@pytest.mark.parametrize(
    ("page", "heading", "files"),
    [
        ("maintenance", "Back up", ["gospablik.dump", "attachments.tar", "keys.tar"]),
        ("personal-data", "After a restore from a backup", ["erasures.jsonl"]),
    ],
)
def test_interrupted_backup_leaves_the_former_one(
    page: str, heading: str, files: list[str], tmp_path: Path
) -> None:
    for program in ("docker", "gospablik"):
        path = tmp_path / program
        path.write_text("#!/bin/sh\nprintf half && [ ! -e broken ] && printf whole\n", encoding="utf-8")
        path.chmod(0o700)
    lines = [line for line in documented_lines(page, heading) if line.startswith("(")]
    assert len(lines) == len(files)
    for line, name in zip(lines, files, strict=True):
        file = tmp_path / name
        file.write_text("former", encoding="utf-8")
        file.chmod(0o644)
        for content in ("former", "halfwhole"):
            (tmp_path / "broken").touch() if content == "former" else (tmp_path / "broken").unlink()
            programs = f"{tmp_path}:{os.environ['PATH']}"
            done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env={"PATH": programs}, check=False)
            assert (done.returncode == 0) == (content != "former")
            assert file.read_text(encoding="utf-8") == content
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("status", "content"), [(0, "photos"), (1, "photos"), (2, "former")])
def test_photo_that_changes_meanwhile_does_not_spoil_the_backup(status: int, content: str, tmp_path: Path) -> None:
    """GNU tar ends with 1 if a photo came or went while it read the folder, with 2 after an error."""
    for program, script in (
        ("docker", 'shift 4; exec "$@"'),  # without «compose exec -T appeals»
        ("tar", f"printf photos; exit {status}"),
    ):
        path = tmp_path / program
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o700)
    (line,) = (line for line in documented_lines("maintenance", "Back up") if "/attachments" in line)
    file = tmp_path / "attachments.tar"
    file.write_text("former", encoding="utf-8")
    programs = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env={"PATH": programs}, check=False)
    assert (done.returncode == 0, file.read_text(encoding="utf-8")) == (content == "photos", content)


def test_rollback_is_documented_after_the_upgrade() -> None:
    lines = documented_lines("maintenance", "Upgrade and roll back")
    versions = [line for line in lines if line.startswith("git checkout")]
    assert versions == ["git checkout NEW_TAG", "git checkout FORMER_TAG"]
    assert "docker compose build" in lines


def test_rotation_names_the_commands_for_a_signing_key() -> None:
    found = documented_snippets("maintenance", "Rotate keys and passwords")
    assert "docker compose run --rm --no-deps --entrypoint rm prepare /keys/registry.jwk" in found
    assert "docker compose run --rm prepare" in found


def test_all_services_with_keys_are_restarted_one_at_a_time() -> None:
    (line,) = documented_lines("maintenance", "Restart the services")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    with_keys = [
        name
        for name, service in services.items()
        if service.get("command", [])[:1] == ["serve"]
        and any(str(volume).startswith("keys-") for volume in service.get("volumes", ()))
    ]
    assert "registry-worker" in with_keys
    assert re.findall(r"^for service in (.*); do docker compose restart \$service; done$", line) == [
        " ".join(with_keys)
    ]


def test_missing_section_raises_an_error() -> None:
    with pytest.raises(LookupError, match="no section «Nothing»"):
        documented_lines("maintenance", "Nothing")


def test_base_images_are_read_from_dockerfile_and_compose() -> None:
    assert [name.partition(":")[0] for name in base_images(ROOT)] == ["python", "postgres", "traefik"]
