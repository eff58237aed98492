"""Decode untrusted files in a process of their own."""
