"""Page health: weekly scores of pages by a versioned formula, with inputs and evidence («светофор»)."""
