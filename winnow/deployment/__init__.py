"""From a ticket to a smaller or faster network in one file.

``capture`` makes a `Network` of a module: a graph of ATen operations.
"""
