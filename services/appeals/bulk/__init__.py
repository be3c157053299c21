"""Bulk operations: one change to many appeals, made one by one by the functions of the single-appeal routes."""
