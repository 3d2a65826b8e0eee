"""The authors' weights and reference numbers, compared with ours and imported."""
