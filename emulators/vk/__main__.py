"""Run the VK emulator: `python -m emulators.vk`."""

from emulators.common.server import serve
from emulators.vk.app import create_app
from emulators.vk.settings import VkSettings


def main() -> None:
    """Serve until a signal, with settings from the environment."""
    settings = VkSettings()
    app, world = create_app(settings)
    serve(app, settings.host, settings.port, on_exit=world.longpoll.close)


if __name__ == "__main__":
    main()
