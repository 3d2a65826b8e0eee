"""Reads, fits, crops and draws images."""
