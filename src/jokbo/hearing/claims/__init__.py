"""A claim is checked before it is heard: its file, its table, the rules of the linter."""
