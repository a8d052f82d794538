"""What publishing some numbers gives away of those that are to stay closed."""
