"""Schemas of assignees, assignee rules and absences."""
