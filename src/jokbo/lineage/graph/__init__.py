"""What all pairs of a set of models say together: clusters, relations, merges, and what was declared. Pure."""
