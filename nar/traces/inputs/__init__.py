"""Inputs of algorithms: drawn at random, checked when they come from a user, in the form that is recorded.

graphs is what graph algorithms share; families (other topologies) and weights (other laws of edge weights) are its
parameters. arrays, strings and geometry are the same for sorting and searching, matching, and points in the plane.
"""
