"""What runs leave behind, as files, and what may be concluded from many of them. No PyTorch but in run_directory.

schema (results.json), run_directory (everything a run writes), trackers (where metrics go besides), study (many runs,
grouped by what they repeat), statistics (means with intervals, comparisons seed by seed), comparability (what a reader
must know first), published (scores that papers print).
"""
