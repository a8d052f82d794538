"""The league: rounds, results, scores with their uncertainty, a gate, and eliminations that can be defended."""
