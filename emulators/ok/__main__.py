"""`python -m emulators.ok`: serve until a signal."""

import logging

from emulators.common.server import serve
from emulators.ok.app import create_app
from emulators.ok.settings import OkSettings


def main() -> None:
    """Read the settings from the environment and serve."""
    logging.basicConfig(level=logging.WARNING)
    settings = OkSettings()
    serve(create_app(settings), settings.host, settings.port)


if __name__ == "__main__":
    main()
