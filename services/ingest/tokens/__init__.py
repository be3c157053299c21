"""Network tokens: encrypted storage, selection per call, and their states."""
