"""Texts, tables, charts and exports of what the core computes."""
