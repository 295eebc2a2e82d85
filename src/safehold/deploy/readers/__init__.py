"""Readers: one file for each kind of place in which settings stand."""
