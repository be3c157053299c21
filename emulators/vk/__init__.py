"""VK emulator: the API methods and Bots Long Poll that a community's feedback service uses."""
