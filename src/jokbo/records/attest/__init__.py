"""What an audit found, in the formats that other tools read."""
