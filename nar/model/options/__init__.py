"""Methods that are off by default and leave the rest of the model as it is: each in one file, with its source.

reconstruction: a second processor must reconstruct the hints (ReNAR). edge_pointers: pairs look up what they point to.
relations: exact comparisons of numbers (how they are made: relation_kinds). candidates, selection: numbers and nodes
are chosen (choice) instead of computed; constants of candidates are found in traces. in_words, candidate_words: what
all of these are for an algorithm.
"""
