"""analysis.references."""
