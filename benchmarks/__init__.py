"""Benchmarks: commands that measure and write their figures as Markdown and JSON; never timed tests."""
