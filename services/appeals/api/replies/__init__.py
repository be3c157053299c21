"""Routes of replies: drafts, approval, templates, photos, promises."""
