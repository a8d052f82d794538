"""Evidence, verdicts and their verification."""
