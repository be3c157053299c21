"""Check with squawk that the SQL of migrations does not block running services.

`python -m migrations.lint` renders each migration as SQL, without a database, and fails if squawk finds a problem.
Migrations up to `LAST_UNCHECKED` are applied and cannot change. The rules are in `.squawk.toml`.
"""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory

from migrations.indexes import TIMEOUTS

LAST_UNCHECKED = "0020"
FOLDER = Path(__file__).parent


def rendered(script: Script) -> str:
    """Return the SQL of an upgrade, as `migrations/env.py` runs it: in a transaction, with timeouts.

    Queries of the migration return None: it finds no invalid index, and loops over existing rows end at once.
    """
    sql = StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": sql, "literal_binds": True}
    )
    connection = context.connection
    assert connection is not None
    connection.scalar = lambda *_args, **_kwargs: None  # type: ignore[method-assign]
    sql.write("BEGIN;\n" + "".join(f"SET {name} = '{value}';\n" for name, value in TIMEOUTS.items()))
    with Operations.context(context):
        script.module.upgrade()
    return sql.getvalue() + "COMMIT;\n"


def checked() -> list[Script]:
    """Return the migrations to check, newest first."""
    config = Config(FOLDER / "alembic.ini")
    config.set_main_option("script_location", str(FOLDER))
    return list(ScriptDirectory.from_config(config).walk_revisions(LAST_UNCHECKED, "heads"))[:-1]


def main() -> int:
    """Check the migrations; return squawk's exit code."""
    with TemporaryDirectory() as folder:
        files = []
        for script in checked():
            file = Path(folder) / f"{Path(script.path).stem}.sql"
            file.write_text(rendered(script), encoding="utf-8")
            files.append(str(file))
        squawk = Path(sys.executable).with_name("squawk")
        return subprocess.run([squawk, "--config", FOLDER.parent / ".squawk.toml", *files], check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
