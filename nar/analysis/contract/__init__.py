"""analysis.contract."""
