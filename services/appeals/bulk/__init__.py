"""Work in bulk: one change of many appeals, made appeal by appeal by the functions of the single routes."""
