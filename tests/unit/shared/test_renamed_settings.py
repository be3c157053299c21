"""Variables under an old name: every process refuses to start and names the new one."""

import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from pydantic_settings import BaseSettings
from typer.testing import CliRunner

from cli.embedded.settings import EmbeddedSettings
from cli.main import app
from services.appeals.settings import AppealsSettings
from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from services.ingest.settings import IngestSettings
from services.metrics.app import build_service
from services.metrics.settings import MetricsSettings
from services.registry.settings import RegistrySettings
from services.webhooks.settings import WebhooksSettings
from shared.database.purge import RetentionSettings
from shared.renamed_settings import RENAMED_VARIABLES, RenamedVariableError, refuse_renamed_variables
from shared.settings import Settings

OLD, NEW = "GOSPABLIK_BURST_CASES", "GOSPABLIK_SPIKE_MIN_AUTHORS"
ALL_SETTINGS: tuple[type[BaseSettings], ...] = (
    Settings,
    RetentionSettings,
    AppealsSettings,
    EmbeddedSettings,
    GatewaySettings,
    IngestSettings,
    MetricsSettings,
    RegistrySettings,
    WebhooksSettings,
)
ROOT = Path(__file__).parents[3]


def test_settings_read_new_names_and_not_old_names() -> None:
    read = {
        f"{kind.model_config['env_prefix']}{field}".upper() for kind in ALL_SETTINGS for field in kind.model_fields
    }
    gateway = (ROOT / "services/gateway/traefik/dynamic.yml").read_text(encoding="utf-8")
    read |= set(re.findall(r'env "(GOSPABLIK_\w+)"', gateway))
    assert set(RENAMED_VARIABLES.values()) <= read
    assert not RENAMED_VARIABLES.keys() & read


def test_every_old_name_with_a_value_is_refused_with_its_new_name() -> None:
    for old, new in RENAMED_VARIABLES.items():
        with pytest.raises(RenamedVariableError, match=rf"{old} was renamed: set {new} instead"):
            refuse_renamed_variables({old.lower(): "1", new: "1"})
    with pytest.raises(RenamedVariableError) as refused:
        refuse_renamed_variables(dict.fromkeys(RENAMED_VARIABLES, "1"))
    assert all(old in str(refused.value) for old in RENAMED_VARIABLES)


def test_new_names_and_empty_old_names_are_accepted() -> None:
    refuse_renamed_variables({OLD: "", **dict.fromkeys(RENAMED_VARIABLES.values(), "1")})


def test_command_with_an_old_name_fails_before_it_does_anything(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["keys", str(tmp_path / "keys")], env={OLD: "5"})
    assert (done.exit_code, OLD in done.stderr, NEW in done.stderr) == (1, True, True)
    assert not (tmp_path / "keys").exists()


async def test_service_with_an_old_name_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OLD, "5")
    with pytest.raises(RenamedVariableError, match=NEW):
        async with build_service().running("api"):
            pass
    gateway = create_app(GatewaySettings())
    with pytest.raises(RenamedVariableError, match=NEW):
        async with gateway.router.lifespan_context(gateway):
            pass


def test_compose_passes_old_names_of_variables_only_to_prepare() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    passed = {name for name in services["prepare"]["environment"] if name in RENAMED_VARIABLES}
    variables = set(re.findall(r"\$\{(GOSPABLIK_\w+)", text))
    assert OLD in passed
    assert passed == {old for old, new in RENAMED_VARIABLES.items() if new in variables}
    assert all(services["prepare"]["environment"][name] == f"${{{name}:-}}" for name in passed)
    for name, service in services.items():
        assert name == "prepare" or not RENAMED_VARIABLES.keys() & service.get("environment", {}).keys()
