"""Commands that containers and operators of a deployment run: refused settings, written and read files."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from unittest.mock import AsyncMock
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from cli.commands import audit, notices
from cli.deployment.prepare import PASSWORDS, VariablesRefusedError, prepare, read_variables
from cli.deployment.provisioning import DatabaseError
from cli.embedded.programs import CLI_COMMAND
from cli.main import app
from services.webhooks.notices.mail.bounces import Bounce

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"GOSPABLIK_TLS": "files", "GOSPABLIK_PUBLIC_URL": "https://x.example.ru"}, "/tls/certificate.pem"),
        ({"GOSPABLIK_PUBLIC_URL": "https://host:99999"}, "GOSPABLIK_PUBLIC_URL: Port out of range"),
        ({"GOSPABLIK_TRUSTED_PROXIES": "proxy"}, "GOSPABLIK_TRUSTED_PROXIES: 'proxy' does not appear to be"),
    ],
)
def test_invalid_gateway_setting_writes_no_configuration(given: dict[str, str], said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["gateway-config", str(tmp_path)], env=given)
    assert (done.exit_code, said in done.stderr) == (1, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_configuration_of_a_running_gateway_is_replaced_atomically(tmp_path: Path) -> None:
    static, dynamic = tmp_path / "traefik.yml", tmp_path / "dynamic.yml"
    assert CliRunner().invoke(app, ["gateway-config", str(tmp_path)]).exit_code == 0
    former = static.read_text(encoding="utf-8")
    with static.open(encoding="utf-8") as reader, dynamic.open("rb") as other:
        given = {"GOSPABLIK_TRUSTED_PROXIES": "10.0.0.5"}
        assert CliRunner().invoke(app, ["gateway-config", str(tmp_path)], env=given).exit_code == 0
        # A process that has opened a file reads its old content to the end.
        assert reader.read() == former != static.read_text(encoding="utf-8")
        assert not os.path.samestat(os.fstat(other.fileno()), dynamic.stat())
    assert {path.name for path in tmp_path.iterdir()} == {"dynamic.yml", "traefik.yml"}


def test_documented_command_creates_a_private_file_of_secrets_and_never_replaces_it(tmp_path: Path) -> None:
    text = (_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    line = re.search(r"\(umask.*generate-env > \.env\)", text)
    assert line is not None
    command = line[0].replace("docker run --rm gospablik", shlex.join(CLI_COMMAND))
    for code in (0, 1):
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == code, done.stderr
        found = (tmp_path / ".env").read_text()
        assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
        assert found.startswith("GOSPABLIK_SUPERUSER_PASSWORD=")
        if code == 0:
            first = found
    assert found == first
    assert ".env" in (_ROOT / ".gitignore").read_text().splitlines()


async def test_prepare_without_required_variables_names_all_of_them() -> None:
    given = dict.fromkeys(PASSWORDS[1:], "")
    with pytest.raises(VariablesRefusedError) as refused:
        await prepare({"GOSPABLIK_DATABASE_ADMIN_URL": "postgresql://nobody@127.0.0.1:1/x", **given})
    assert all(name in str(refused.value) for name in (*PASSWORDS, "GOSPABLIK_KEYS_DIR"))


async def test_prepare_refuses_passwords_that_break_a_url() -> None:
    given = dict.fromkeys(PASSWORDS, "aB9_.~-") | {
        "GOSPABLIK_DATABASE_ADMIN_URL": "postgresql://nobody@127.0.0.1:1/x",
        "GOSPABLIK_KEYS_DIR": "keys",
        "GOSPABLIK_SUPERUSER_PASSWORD": "a%2Fb",
    }
    wrong = {"GOSPABLIK_APPEALS_PASSWORD": "a/b", "GOSPABLIK_SUPERUSER_PASSWORD": "a%b"}
    for name, value in wrong.items():
        with pytest.raises(VariablesRefusedError, match=rf"in a URL: {name}\. "):
            await prepare(given | {name: value})
    with pytest.raises(VariablesRefusedError, match=r"in a URL: GOSPABLIK_OWNER_PASSWORD\. "):
        await prepare(given | {"GOSPABLIK_OWNER_PASSWORD": "a%2Fb"})


def test_prepare_names_variables_that_are_empty() -> None:
    empty = dict.fromkeys((*PASSWORDS, "GOSPABLIK_DATABASE_ADMIN_URL"), "")
    done = CliRunner().invoke(app, ["prepare"], env=empty)
    assert done.exit_code == 1
    assert done.stderr.startswith("Not set: GOSPABLIK_DATABASE_ADMIN_URL, ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["Нина", "--name", "Нина"], "USERNAME: String should match pattern"),
        (["nina", "--name", ""], "--name: Value should have at least 1 item"),
        (
            ["nina", "--name", "Нина", "--role", "boss"],
            "--role: 'boss' is none of analyst, auditor, head, moderator, ",
        ),
        (["nina", "--name", "Нина", "--role", "executor"], "--role: 'executor' is none of analyst, "),
    ],
)
def test_refused_value_of_a_first_person_is_named(given: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["add-person", *given])
    assert (done.exit_code, done.stderr.startswith(said), len(done.stderr.splitlines())) == (1, True, 1), (
        done.stderr
    )


def test_prepare_says_why_a_database_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.deployment.prepare.prepare", AsyncMock(side_effect=DatabaseError("No Cyrillic")))
    done = CliRunner().invoke(app, ["prepare"])
    assert (done.exit_code, done.stderr) == (1, "No Cyrillic\n")


def test_prepare_reads_passwords_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "GOSPABLIK_OWNER_PASSWORD").write_text("from-a-file\n")
    monkeypatch.setenv("GOSPABLIK_OWNER_PASSWORD", "")
    monkeypatch.setenv("GOSPABLIK_SECRETS_DIR", str(tmp_path))
    assert read_variables()["GOSPABLIK_OWNER_PASSWORD"] == "from-a-file"
    monkeypatch.setenv("GOSPABLIK_SECRETS_DIR", "")
    assert read_variables()["GOSPABLIK_OWNER_PASSWORD"] == ""


def test_missing_secrets_folder_stops_the_command_and_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["prepare"], env={"GOSPABLIK_SECRETS_DIR": str(tmp_path / "missing")})
    assert done.exit_code == 1
    assert done.stderr.startswith(f"GOSPABLIK_SECRETS_DIR: {tmp_path}/missing is not a folder")


def test_audit_verify_reads_the_database_url_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "GOSPABLIK_DATABASE_URL").write_text("postgresql://of-a-file/x\n")
    monkeypatch.setenv("GOSPABLIK_DATABASE_DIRECT_URL", "")
    monkeypatch.setenv("GOSPABLIK_DATABASE_URL", "")
    monkeypatch.setenv("GOSPABLIK_SECRETS_DIR", str(tmp_path))
    assert audit._database_url() == "postgresql://of-a-file/x"


def test_command_for_returned_letters_reads_the_database_url_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "GOSPABLIK_DATABASE_URL").write_text("postgresql://of-a-file/x\n")
    monkeypatch.delenv("GOSPABLIK_DATABASE_URL", raising=False)
    monkeypatch.setenv("GOSPABLIK_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("GOSPABLIK_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    record = AsyncMock(return_value=True)
    monkeypatch.setattr(notices, "_record", record)
    monkeypatch.setattr(
        "services.webhooks.notices.mail.bounces.parse_bounce", lambda *_: Bounce(UUID(int=5), "5.1.1")
    )
    assert CliRunner().invoke(notices.app, ["bounce"], input="").exit_code == 0
    record.assert_awaited_once_with("postgresql://of-a-file/x", UUID(int=5), "5.1.1")
