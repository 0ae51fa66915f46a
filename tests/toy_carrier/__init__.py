"""A third carrier, whole and small: the proof that one folder is all it takes. See docs/adding-a-carrier.md."""
