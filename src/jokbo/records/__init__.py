"""Training records: read a disclosed history, audit it, and commit to one in advance."""
