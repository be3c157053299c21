"""Routes of assignees, assignee rules and absences."""
