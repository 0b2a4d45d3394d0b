"""model.options."""
