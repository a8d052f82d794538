"""Scores that are shown and never decide: norm cosines, attention deviations, vocabularies."""
