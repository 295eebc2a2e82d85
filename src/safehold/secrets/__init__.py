"""Secrets that files and the history of git hold: found, named, and never repeated."""
