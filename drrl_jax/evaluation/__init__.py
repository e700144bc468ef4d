"""Placeholder; see the modules."""
