"""The command line: `nar COMMAND`, a file per command, and `python train.py`, which is `nar train`.

main (the commands there are), console (flags from a dataclass of settings, one line per mistake).
Everything else may be imported here, and nothing imports from here.
"""
