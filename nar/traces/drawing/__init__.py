"""traces.drawing."""
