"""reports.html.sections."""
