"""Organisations and people that appeals are assigned to: who had an appeal, and changes of its assignee."""
