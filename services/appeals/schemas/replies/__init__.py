"""Schemas of replies: drafts, approval, templates, photos, promises."""
