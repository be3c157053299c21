"""Keyed digests that stand for people: pseudonyms of authors, and digests of erased people and conversations."""
