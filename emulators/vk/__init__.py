"""VK emulator: API methods, Bots Long Poll and Callback API for communities, and a control API."""
