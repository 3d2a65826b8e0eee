"""The authors' weights and numbers ↔ ours."""
