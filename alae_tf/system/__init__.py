"""Errors, files and the process: the basis of all other rooms."""
