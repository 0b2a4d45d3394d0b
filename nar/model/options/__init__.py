"""Methods that are off by default and leave the rest of the model as it is: each in one file, with its source.

reconstruction: a second processor must reconstruct the hints (ReNAR). edge_pointers: pairs look up what they point to.
"""
