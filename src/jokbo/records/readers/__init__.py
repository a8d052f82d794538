"""Log readers: one format a file; none executes anything."""
