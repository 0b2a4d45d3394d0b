"""model.objectives."""
