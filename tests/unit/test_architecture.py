"""Rules for the layout of packages that import contracts cannot check."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from shared.database.sessions import JOB_CONNECTIONS, POOL_SIZES

ROOT = Path(__file__).parents[2]
SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")
UPPER_LAYERS = {"app", "api", "worker"}
MAX_MODULES = 18


def imported(path: Path) -> set[str]:
    """Return the dotted names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_parts(service: str) -> None:
    parts = {path.name for path in (ROOT / "services" / service).iterdir()}
    assert {"app.py", "api", "schemas"} <= parts


def test_every_page_of_the_console_is_a_folder_with_a_view() -> None:
    pages = [path for path in (ROOT / "services" / "console" / "pages").iterdir() if path.is_dir()]
    folders = [path for path in pages if path.name != "__pycache__"]
    assert folders
    assert [path.name for path in folders if not (path / "view.py").exists()] == []


@pytest.mark.parametrize("service", SERVICES)
def test_domain_modules_import_no_routes_or_workers(service: str) -> None:
    folder = ROOT / "services" / service
    upward = {
        f"{path.relative_to(folder)} → {name}"
        for path in folder.rglob("*.py")
        if path.relative_to(folder).parts[0].removesuffix(".py") not in UPPER_LAYERS
        for name in imported(path)
        if (parts := name.split("."))[:2] == ["services", service] and len(parts) > 2 and parts[2] in UPPER_LAYERS
    }
    assert upward == set()


@pytest.mark.parametrize("package", [*SERVICES, "gateway", "console"])
def test_no_module_name_occurs_twice_in_a_service(package: str) -> None:
    folder = ROOT / "services" / package
    # Each page of the console is a folder with a module `view`.
    names = [
        path.stem
        for path in folder.rglob("*.py")
        if path.stem not in {"__init__", "view"} and path.relative_to(folder).parts[0] not in {"api", "schemas"}
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("package", [*SERVICES, "gateway", "console"])
def test_packages_of_a_service_have_few_modules(package: str) -> None:
    """A package that grows beyond this is several capabilities: split it by what its modules do."""
    folder = ROOT / "services" / package
    modules = (path for path in folder.rglob("*.py") if path.stem != "__init__")
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in modules)
    assert {name: count for name, count in counts.items() if count > MAX_MODULES} == {}


def test_network_package_imports_no_other_network_and_nothing_above_the_ports() -> None:
    """The import contracts list networks by name, so they miss a new one."""
    networks = ROOT / "services" / "ingest" / "networks"
    ports = tuple(f"services.ingest.networks.{path.stem}." for path in networks.glob("*.py"))
    below = ("services.ingest.polling.", "services.ingest.settings.", *ports)
    foreign = {
        f"{path.relative_to(networks)} → {name}"
        for path in networks.glob("*/**/*.py")
        for name in imported(path)
        if name.startswith(("services.ingest.", "services.ingest.networks.catalogue."))
        and not f"{name}.".startswith((*below, f"services.ingest.networks.{path.relative_to(networks).parts[0]}."))
    }
    assert foreign == set()


def test_no_module_has_the_name_of_a_package_beside_it() -> None:
    """Python would import the package and ignore the module."""
    shadowed = {
        str(path)
        for top in ("services", "shared", "cli")
        for path in (ROOT / top).rglob("*.py")
        if path.with_suffix("").is_dir()
    }
    assert shadowed == set()


def test_sum_of_pools_is_below_the_connection_limit() -> None:
    apart = 2 * sum(POOL_SIZES.values())
    workers = len(POOL_SIZES) * (JOB_CONNECTIONS + 1)  # the + 1 is for LISTEN
    stream = 1  # the API of webhooks also has a connection for LISTEN
    assert apart + workers + stream <= 90, "some of the 120 connections are needed for migrations and operators"


def test_services_contain_no_explicit_commit() -> None:
    committing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "services").rglob("*.py")
        if ".commit(" in path.read_text(encoding="utf-8")
    }
    assert committing == set()


def test_text_is_folded_in_one_module() -> None:
    folding = {
        str(path.relative_to(ROOT))
        for folder in ("services", "shared", "cli")
        for path in (ROOT / folder).rglob("*.py")
        if '.replace("ё"' in path.read_text(encoding="utf-8")
    }
    assert folding == {"shared/text/normalize.py"}


def test_only_the_clock_reads_the_system_time() -> None:
    """webhooks/endpoints/signing.py is the exception: receivers compare its time with their own clocks."""
    asking = {
        str(path.relative_to(ROOT))
        for folder in ("services", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if any(call in path.read_text(encoding="utf-8") for call in ("datetime.now(", "time.time(", "utcnow("))
    }
    assert asking <= {"shared/clock.py", "services/webhooks/endpoints/signing.py"}
