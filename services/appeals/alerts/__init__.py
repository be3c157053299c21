"""Alerts that moderators must see at once: one per kind and appeal or incident."""
