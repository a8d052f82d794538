"""Exams: one a kind of component; each fetches rows of both models and runs the tests they allow."""
