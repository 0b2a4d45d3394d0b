"""Experiments: one run from training to its report, and many runs as one command.

Read experiment (train, evaluate, report), then sweep (which runs there are, how far each has come), jobs (where they
are carried out), progress (what is shown meanwhile). Everything of nar may be imported here but the command line.
"""
