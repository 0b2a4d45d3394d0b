"""The contract of a processor as checks, for `nar check` and for the tests over the table of processors.

Read check (the list), then form, dependence, numbers and cost (the checks themselves). fixture makes inputs without an
encoder, outcome is what a check has to say.
"""
