"""The report as one HTML page without requests: its skeleton, and the parts that sections are made of."""
