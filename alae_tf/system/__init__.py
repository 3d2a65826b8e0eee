"""Errors, files and the process: what every room needs."""
