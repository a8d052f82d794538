"""For those who test Jokbo or build on it: made-up models, transforms, strategies and suites."""
