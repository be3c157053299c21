"""The Compose file agrees with the settings and with itself."""

import json
import re
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from pydantic import TypeAdapter
from pydantic_settings import BaseSettings
from typer.main import get_command
from typer.testing import CliRunner

from cli.deployment.prepare import (
    PASSWORDS,
    generate_environment,
)
from cli.embedded.data_dir import DataDir
from cli.embedded.postgres import Postgres
from cli.embedded.programs import ProgramSpecs
from cli.embedded.secrets import Secrets
from cli.embedded.settings import API_SERVICES, SERVICES, EmbeddedSettings
from cli.main import app
from services.appeals.api.replies.attachments import MAX_UPLOAD_BODY
from services.appeals.settings import AppealsSettings, ContactSettings
from services.console.pages.reply.view import PAGE as REPLY_PAGE
from services.console.settings import ConsoleSettings
from services.gateway.settings import GatewaySettings
from services.gateway.traefik.entry_point_settings import EntryPointSettings
from services.gateway.traefik.static_config import static_config
from services.ingest.settings import IngestSettings
from services.metrics.settings import MetricsSettings
from services.registry.import_export.importer import MAX_IMPORT_BYTES
from services.registry.settings import RegistrySettings
from services.webhooks.settings import WebhooksSettings
from shared.database.purge import RetentionSettings
from shared.database.sessions import JOB_CONNECTIONS, POOL_SIZES
from shared.settings import Settings

_ROOT = Path(__file__).parents[3]
_SERVICE_SETTINGS: dict[str, type[BaseSettings]] = {
    "registry": RegistrySettings,
    "ingest": IngestSettings,
    "appeals": AppealsSettings,
    "metrics": MetricsSettings,
    "webhooks": WebhooksSettings,
    "console": ConsoleSettings,
    "gateway-service": GatewaySettings,
}
_MAX_CONNECTIONS = re.compile("max_connections=(.*)")
_RETENTION_SETTINGS = {f"keep_{name}": field for name, field in RetentionSettings.model_fields.items()}


@pytest.fixture(scope="module")
def text() -> str:
    return (_ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def test_api_and_worker_of_every_service_wait_for_the_migrations(services: dict[str, Any]) -> None:
    for name in SERVICES:
        containers = [(name, "api")] if name == "console" else [(name, "api"), (f"{name}-worker", "worker")]
        for container, process in containers:
            found = services[container]
            assert found["command"] == ["serve", name, "--process", process]
            assert found["depends_on"]["prepare"]["condition"] == "service_completed_successfully"
            assert found["healthcheck"]["test"] == ["CMD", "ready", "/health/ready"]
            assert f"postgresql://{name}:" in found["environment"]["GOSPABLIK_DATABASE_URL"]


def test_required_settings_are_given_and_secrets_only_where_needed(services: dict[str, Any]) -> None:
    image = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    in_image = set(re.findall(r"(GOSPABLIK_[A-Z_]+)=", image))
    required = {
        f"GOSPABLIK_{name.upper()}" for name, field in Settings.model_fields.items() if field.is_required()
    }
    for name in SERVICES:
        environment = services[name]["environment"]
        assert required <= {*environment, *in_image}, name
        assert ("GOSPABLIK_ENCRYPTION_KEYS" in environment) == (
            name in ("ingest", "appeals", "webhooks", "console")
        )
        assert ("GOSPABLIK_PSEUDONYM_KEY" in environment) == (name == "ingest")
        assert environment["GOSPABLIK_ENVIRONMENT"] == "${GOSPABLIK_ENVIRONMENT:-production}"


def test_each_container_mounts_only_the_keys_of_its_service(services: dict[str, Any]) -> None:
    mounted = {
        container: sorted(one for one in service.get("volumes", ()) if one.startswith("keys"))
        for container, service in services.items()
    }
    for name in API_SERVICES:
        assert mounted[name] == mounted[f"{name}-worker"] == [f"keys-{name}:/keys:ro"]
    of_all = [f"keys-{name}:/keys/{name}" for name in API_SERVICES]
    assert mounted["prepare"] == sorted(["keys:/keys", *of_all])
    assert mounted["starter-rules"] == mounted["appeals"]
    named = {*API_SERVICES, *(f"{name}-worker" for name in API_SERVICES), "prepare", "starter-rules"}
    # The console needs no key: it calls the API with people's tokens.
    assert not any(mounts for container, mounts in mounted.items() if container not in named)


def test_addresses_name_existing_containers(services: dict[str, Any]) -> None:
    known = set(GatewaySettings.model_fields)
    for container in (*SERVICES, "gateway-service", "gateway"):
        environment = services[container]["environment"]
        for name in SERVICES:
            assert environment[f"GOSPABLIK_{name.upper()}_URL"] == f"http://{name}:8000"
            assert f"{name}_url" in known
    assert services["gateway"]["environment"]["GOSPABLIK_GATEWAY_SERVICE_URL"] == "http://gateway-service:8000"


def test_health_checks_every_container_of_a_service(services: dict[str, Any]) -> None:
    environment = services["gateway-service"]["environment"]
    settings = GatewaySettings.model_validate(
        {
            name.removeprefix("GOSPABLIK_").lower(): value
            for name, value in environment.items()
            if name.endswith("_URL")
        }
    )
    serving = {name for name, one in services.items() if (one.get("command") or [""])[0] == "serve"}
    assert settings.process_urls().keys() == serving - {"gateway-service"}


def test_entry_point_that_trusts_forwarded_addresses_is_reached_only_by_the_console(
    services: dict[str, Any],
) -> None:
    static = tomllib.loads((_ROOT / "services/gateway/traefik/traefik.toml").read_text(encoding="utf-8"))
    believing = {name: one["address"] for name, one in static["entryPoints"].items() if "forwardedHeaders" in one}
    assert believing == {"internal": ":8081"}
    assert services["console"]["environment"]["GOSPABLIK_GATEWAY_URL"] == "http://gateway:8081"
    assert [port.rpartition(":")[2] for port in services["gateway"]["ports"]] == ["8080", "8443"]


def test_postgres_has_the_same_time_to_stop_as_in_the_embedded_run(
    services: dict[str, Any], tmp_path: Path
) -> None:
    programs = ProgramSpecs(EmbeddedSettings(), DataDir(tmp_path), Secrets())
    embedded = programs.postgres(Postgres(tmp_path, tmp_path, None))
    assert services["postgres"]["stop_grace_period"] == f"{embedded.stop_seconds}s"


def test_subnet_of_the_containers_is_fixed_and_trusted_for_the_gateway(text: str) -> None:
    (config,) = yaml.safe_load(text)["networks"]["default"]["ipam"]["config"]
    subnet = ip_network(_interpolate(config["subnet"], {}))
    trusted = [ip_network(one) for one in Settings.model_fields["gateway_networks"].default.split(",")]
    assert any(subnet[0] in one and subnet[-1] in one for one in trusted)
    # The documented example for a proxy on the same machine uses this subnet.
    docs = (_ROOT / "docs/operations/deployment.md").read_text(encoding="utf-8")
    assert f"`GOSPABLIK_TRUSTED_PROXIES={subnet[1]}`" in docs


def test_ports_are_bound_to_loopback_by_default(services: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports.keys() == {"gateway", "vk", "ok"}
    for name, published in ports.items():
        bind = "${GOSPABLIK_BIND:-127.0.0.1}:" if name == "gateway" else "127.0.0.1:"
        assert all(port.startswith(bind) for port in published), name


def test_gateway_reads_the_configuration_written_for_it(services: dict[str, Any], tmp_path: Path) -> None:
    writer, gateway = services["gateway-config"], services["gateway"]
    assert gateway["depends_on"]["gateway-config"] == {
        "condition": "service_completed_successfully",
        "restart": True,
    }
    # The gateway has the writer's settings too: Compose replaces a container only if its own settings change.
    assert writer["environment"].items() <= gateway["environment"].items()
    done = CliRunner().invoke(app, [writer["command"][0], str(tmp_path)])
    assert done.exit_code == 0, done.output
    static = json.loads((tmp_path / "traefik.yml").read_text(encoding="utf-8"))
    assert static["providers"]["file"]["filename"] == str(tmp_path / "dynamic.yml")
    assert (tmp_path / "dynamic.yml").read_bytes() == (_ROOT / "services/gateway/traefik/dynamic.yml").read_bytes()
    # The writer writes where Traefik reads, and both mount the same volumes.
    assert writer["command"][1] == "/etc/traefik"
    assert [volume.removesuffix(":ro") for volume in gateway["volumes"]] == [
        volume.removesuffix(":ro") for volume in writer["volumes"]
    ]


def test_defaults_are_the_same_as_in_the_code(services: dict[str, Any]) -> None:
    gateway = (_ROOT / "services/gateway/traefik/dynamic.yml").read_text(encoding="utf-8")
    in_gateway = dict(re.findall(r'env "(\w+)" \| default "(\w+)"', gateway))
    assert in_gateway
    written = {
        name.removeprefix("GOSPABLIK_").lower(): value
        for name, value in _defaults(services["gateway-config"]).items()
    }
    assert EntryPointSettings.model_validate(written) == EntryPointSettings.model_validate({})
    assert in_gateway.items() <= _defaults(services["gateway"]).items()
    for container in (*SERVICES, "gateway-service"):
        common = {} if container == "gateway-service" else Settings.model_fields | _RETENTION_SETTINGS
        fields = (
            {**common, **_SERVICE_SETTINGS[container].model_fields} if container in _SERVICE_SETTINGS else common
        )
        for name, default in _defaults(services[container]).items():
            field = fields.get(name.removeprefix("GOSPABLIK_").lower())
            if field is None and container == "appeals":
                field = ContactSettings.model_fields.get(name.removeprefix("GOSPABLIK_").lower())
            if field is None:
                assert name in services["gateway"]["environment"], f"{container} does not read {name}"
            elif default:
                kind = TypeAdapter[object](field.rebuild_annotation())
                assert kind.validate_python(default) == field.default, name
            elif not field.is_required():
                assert not field.default, name


def test_gateway_accepts_the_largest_body_of_a_service_and_buffers_ten_of_them(services: dict[str, Any]) -> None:
    limit = GatewaySettings().gateway_body_bytes
    assert max(MAX_UPLOAD_BODY, MAX_IMPORT_BYTES, *REPLY_PAGE.body_limits.values()) < limit
    (size,) = re.findall(r"^/tmp:size=(\d+)m$", "\n".join(services["gateway"]["tmpfs"]))
    assert int(size) * 1024 * 1024 >= 10 * limit


@pytest.mark.parametrize("name", ["web", "internal"])
def test_largest_body_arrives_over_a_slow_line(name: str) -> None:
    document = static_config(public_address=":1", internal_address=":2", admin_address=":3")
    timeout = json.loads(document)["entryPoints"][name]["transport"]["respondingTimeouts"]["readTimeout"]
    megabits = max(MAX_UPLOAD_BODY, MAX_IMPORT_BYTES, *REPLY_PAGE.body_limits.values()) * 8 / 1_000_000
    assert int(timeout.removesuffix("s")) > 1.5 * megabits  # at 1 Mbit/s, with a reserve


def test_documented_settings_reach_the_containers(services: dict[str, Any]) -> None:
    docs = "".join(
        (_ROOT / "docs" / name).read_text(encoding="utf-8")
        for name in ("operations/index.md", "operations/ingestion.md")
    )
    named = set(re.findall(r"`GOSPABLIK_(\w+)`", docs)) - {
        "DATABASE_DIRECT_URL",
        "KEYS_DIR",
        "CLOCK_SHIFT_SECONDS",
        "MAIL_DIR",
    }
    for container in (*SERVICES, "gateway-service"):
        own = _SERVICE_SETTINGS[container].model_fields if container in _SERVICE_SETTINGS else {}
        read = own if container == "gateway-service" else Settings.model_fields | own
        wanted = {f"GOSPABLIK_{name.upper()}" for name in read if name.upper() in named}
        if container != "gateway-service":
            wanted |= {f"GOSPABLIK_{name.upper()}" for name in _RETENTION_SETTINGS}
        assert wanted
        assert wanted <= set(services[container]["environment"]), container


def test_every_retention_setting_is_documented_with_its_minimum() -> None:
    docs = (_ROOT / "docs" / "operations" / "index.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| [^|\n]+ \| (`[A-Z_`, ]+) \| ([\d(), none]+) \|", docs, re.MULTILINE)
    terms = {
        name.lower(): term
        for names, all_terms in described
        for name, term in zip(
            re.findall(r"[A-Z_]+", names), re.findall(r"(?:\d+|none) \(\d+\)", all_terms), strict=True
        )
    }
    assert terms == {
        name: f"{field.default or 'none'} ({field.metadata[0].ge})"
        for name, field in RetentionSettings.model_fields.items()
    }


def _defaults(service: dict[str, Any]) -> dict[str, str]:
    found = (re.fullmatch(r"\$\{(\w+):?-(.*)\}", value) for value in service["environment"].values())
    return {match[1]: match[2] for match in found if match}


def test_emulators_start_only_with_their_profile(text: str, services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert (service.get("profiles") == ["emulators"]) == (name in ("vk", "ok")), name
    for path in re.findall(r"\./([\w/.-]+):", text):
        assert (_ROOT / path).exists(), path


def test_every_permanent_container_is_checked_every_ten_seconds(services: dict[str, Any]) -> None:
    image = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    for name, service in services.items():
        if service["restart"] == "no":
            assert "healthcheck" not in service, name
            continue
        check = service["healthcheck"]
        assert check["interval"] == "10s", name
        # During the start the check runs every second, so that the container is soon healthy.
        assert (check["start_interval"], check["start_period"]) == ("1s", "60s"), name
        if name not in ("postgres", "gateway"):
            assert check["test"][:2] == ["CMD", "ready"], name
    assert re.search(r"COPY .*cli/deployment/ready.bash /usr/local/bin/ready\n", image)


def test_every_container_that_ends_is_a_dependency_of_another(services: dict[str, Any]) -> None:
    # `docker compose up --wait` exits with 1 if a container ends that no other container depends on.
    awaited = {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert awaited == {name for name, service in services.items() if service["restart"] == "no"}


def test_only_appeals_mounts_the_models_and_only_for_reading(services: dict[str, Any]) -> None:
    for name, service in services.items():
        models = [volume for volume in service.get("volumes", []) if ":/models" in volume]
        assert bool(models) == (name in ("appeals", "appeals-worker")), name
        assert all(volume.endswith(":/models:ro") for volume in models)
        assert ("GOSPABLIK_TOPICS_MODEL" in service.get("environment", {})) == bool(models)
        if models:
            assert "keys-appeals:/keys:ro" in service["volumes"]


def test_generate_env_creates_all_required_secrets(text: str, services: dict[str, Any]) -> None:
    kinds: list[type[BaseSettings]] = [Settings, *_SERVICE_SETTINGS.values()]
    required = {
        f"GOSPABLIK_{name.upper()}"
        for kind in kinds
        for name, field in kind.model_fields.items()
        if field.is_required()
    }
    asked = {"GOSPABLIK_SUPERUSER_PASSWORD", *PASSWORDS} | (required & set(re.findall(r"\$\{(\w+)", text)))
    first, second = (dict(line.split("=", 1) for line in generate_environment().splitlines()) for _ in range(2))
    assert set(first) == asked
    assert not set(first.values()) & set(second.values())


def test_images_can_be_built_before_the_file_of_secrets_exists(text: str) -> None:
    # `docker compose build` interpolates the variables of the whole file.
    assert re.findall(r"\$\{\w+:?\?", text) == []


def test_superuser_password_is_passed_to_prepare(services: dict[str, Any]) -> None:
    assert "GOSPABLIK_SUPERUSER_PASSWORD" in services["prepare"]["environment"]


def test_image_of_all_services_is_built_by_one_service(services: dict[str, Any]) -> None:
    ours = {name: service for name, service in services.items() if "GOSPABLIK_IMAGE" in service["image"]}
    assert ours.keys() == services.keys() - {"postgres", "gateway"}
    assert len({service["image"] for service in ours.values()}) == 1
    assert [name for name, service in ours.items() if "build" in service] == ["prepare"]
    # Docker must not look for the image in a public registry.
    assert {service["pull_policy"] for service in ours.values()} == {"${GOSPABLIK_PULL_POLICY:-never}"}


def test_rights_and_memory_of_containers_are_limited(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert "cap_add" not in service, name
        assert service["mem_limit"], name
        # Docker refuses a limit above the machine's number of cores, which may be one: shares always work.
        assert service["cpu_shares"] > 0, name
        assert not {"cpus", "cpuset", "deploy"} & service.keys(), name
        assert service["pids_limit"] > 0, name
    # Third-party images run as root by default; the project's Dockerfile sets a user.
    assert {name for name, service in services.items() if "user" in service} == {"postgres", "gateway"}
    image = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "USER gospablik" in image
    # The gateway runs as the user of our image, to read the files that this user writes.
    user, _, group = services["gateway"]["user"].partition(":")
    assert f"--uid {user} --gid {group}" in image
    assert f"groupadd --gid {group}" in image


def test_two_instances_of_each_process_fit_into_the_connection_limit(services: dict[str, Any]) -> None:
    limit = int(
        next(found[1] for one in services["postgres"]["command"] if (found := _MAX_CONNECTIONS.match(one)))
    )
    needed = 0
    for name in SERVICES:
        containers = [
            one for one, service in services.items() if service.get("command", [])[:2] == ["serve", name]
        ]
        # Each process may use one more connection to listen for notifications.
        needed += len(containers) * (POOL_SIZES[name] + 1)
        needed += JOB_CONNECTIONS if name in API_SERVICES else 0
    # Three connections are reserved for superusers; migrations, commands and people need some.
    assert 2 * needed + 20 <= limit


def test_only_prepare_waits_for_the_database_container(services: dict[str, Any]) -> None:
    # The dependency is optional: an external server may replace the container.
    waiting = {name for name, service in services.items() if "postgres" in service.get("depends_on", {})}
    assert waiting == {"prepare"}
    assert services["prepare"]["depends_on"]["postgres"]["required"] is False
    external = yaml.safe_load((_ROOT / "docker-compose.external-database.yml").read_text(encoding="utf-8"))
    assert external == {"services": {"postgres": {"profiles": ["own-database"]}}}


@pytest.mark.parametrize(
    ("given", "address", "direct"),
    [
        ({}, "postgres:5432/gospablik", "postgres:5432/gospablik"),
        (
            {"ADDRESS": "one:5432,two:5432", "OPTIONS": "?sslmode=verify-full&sslrootcert=/ca/region.pem"},
            "one:5432,two:5432/gospablik?sslmode=verify-full&sslrootcert=/ca/region.pem",
            "one:5432,two:5432/gospablik?sslmode=verify-full&sslrootcert=/ca/region.pem",
        ),
        (
            {"ADDRESS": "pooler:6432", "DIRECT_ADDRESS": "server:5432"},
            "pooler:6432/gospablik",
            "server:5432/gospablik",
        ),
    ],
)
def test_external_database_can_be_configured(
    services: dict[str, Any], given: dict[str, str], address: str, direct: str
) -> None:
    values = {f"GOSPABLIK_DATABASE_{name}": value for name, value in given.items()}
    for name in SERVICES:
        environment = services[name]["environment"]
        filled = values | {f"GOSPABLIK_{name.upper()}_PASSWORD": "p"}
        login = f"postgresql://{name}:p@"
        assert _interpolate(environment["GOSPABLIK_DATABASE_URL"], filled) == login + address
        assert _interpolate(environment["GOSPABLIK_DATABASE_DIRECT_URL"], filled) == login + direct
    admin = _interpolate(services["prepare"]["environment"]["GOSPABLIK_DATABASE_ADMIN_URL"], values)
    assert admin == f"postgresql://postgres:@{direct}".replace("/gospablik", "/postgres")


def _interpolate(text: str, values: dict[str, str]) -> str:
    """Return a text as Compose interpolates it: `${NAME:-default}`, where the default may contain a variable."""
    while found := re.search(r"\$\{(\w+):-([^${}]*)\}", text):
        text = text[: found.start()] + (values.get(found[1]) or found[2]) + text[found.end() :]
    return text


def test_example_for_prometheus_names_every_process_with_metrics(services: dict[str, Any]) -> None:
    example = yaml.safe_load((_ROOT / "docs/operations/prometheus.yml").read_text(encoding="utf-8"))
    (targets,) = (one["targets"] for one in example["scrape_configs"][0]["static_configs"])
    serving = {name for name, one in services.items() if "serve" in one.get("command", [])}
    assert targets == sorted(set(targets), key=targets.index)
    # Traefik (8107) serves the gateway's metrics; its own service has none.
    assert set(targets) == {f"{name}:8000" for name in serving - {"gateway-service"}} | {"gateway:8107"}


@pytest.mark.parametrize("path", sorted((_ROOT / "docs/operations").glob("*.md")), ids=lambda path: path.name)
def test_documented_commands_name_existing_containers_and_commands(path: Path, services: dict[str, Any]) -> None:
    text = re.sub(r"\\?\n\s*", " ", path.read_text(encoding="utf-8"))
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    for subcommand, rest in re.findall(r"docker compose (exec|run|logs|restart) ([^`|<>]*)", text):
        words = rest.replace("--entrypoint ", "--entrypoint=").split()
        container = next((word for word in words if not word.startswith("-") and not re.match(r"\d+m$", word)), "")
        # Placeholders are written in capitals.
        assert container in services or container.isupper() or subcommand == "restart", f"{subcommand} {rest}"
        after = words[words.index(container) + 1 :] if container in words else []
        if subcommand == "exec" and after[0] == "gospablik":
            assert after[1] in commands | {"…"}, rest
        if subcommand == "run":
            # Without `--no-deps` Compose runs `prepare` again.
            assert "--no-deps" in words or container == "prepare", rest


def test_documented_rollback_names_all_containers(services: dict[str, Any]) -> None:
    text = (_ROOT / "docs/operations/maintenance.md").read_text(encoding="utf-8")
    found = re.search(r"--wait --no-deps ((?:[a-z-]+ *(?:\\\n\s+)?)+)\n", text)
    assert found is not None
    # Traefik reads its static configuration only at startup: it is restarted after the old version has written it.
    assert text[: found.start()].endswith("run --rm --no-deps gateway-config\n    docker compose up -d ")
    assert text[found.end() :].lstrip().startswith("docker compose restart gateway\n")
    restarted = {name for name, one in services.items() if one["restart"] != "no" and "profiles" not in one}
    assert set(found[1].replace("\\", "").split()) == restarted - {"postgres"}


def test_documented_upgrade_runs_all_checks_before_containers_are_replaced(services: dict[str, Any]) -> None:
    text = (_ROOT / "docs/operations/maintenance.md").read_text(encoding="utf-8")
    section = text[text.index("## Upgrade") : text.index("Back, if")]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    docker compose")]
    checked = [
        f"docker compose run --rm --no-deps {name}"
        for name, one in services.items()
        if one["restart"] == "no" and name != "starter-rules"
    ]
    assert lines == ["docker compose build", *checked, "docker compose up -d --wait"]


def test_rotation_of_every_key_and_password_is_documented() -> None:
    text = (_ROOT / "docs/operations/maintenance.md").read_text(encoding="utf-8")
    section = text[text.index("## Rotate keys") : text.index("## Scale")]
    names = {line.split("=", 1)[0] for line in generate_environment().splitlines()}
    # The text names one of these variables and refers to "those of the other services".
    names -= {f"GOSPABLIK_{name.upper()}_PASSWORD" for name in SERVICES if name != "registry"}
    assert {name for name in names if f"`{name}`" not in section} == set()
