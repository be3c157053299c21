"""Reading of VK pages: walls, discussions, suggested posts and conversations."""
