"""The contract of an algorithm as checks, for `nar check` and for the tests over the table of algorithms.

Read check (the list), then records (what is written down), runs (what a run leaves unchanged) and answers. examples
draws inputs and runs on them, plain is the same run without the compiler, disturbed makes inputs that nobody asked for.
"""
