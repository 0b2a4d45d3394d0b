"""analysis.faithfulness."""
