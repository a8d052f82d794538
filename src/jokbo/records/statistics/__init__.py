"""Statistics that several checks of a log share: small, pure, without files."""
