"""The demo season of the league: texts, evaluation, races, gate evidence and committed results."""
