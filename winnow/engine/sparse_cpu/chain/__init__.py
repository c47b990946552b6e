"""Chains of linear layers and ReLUs: many steps of training in one compiled call.

layers    is a network such a chain?
lists     the nonzeros of a layer, as kernels take them
network   the arrays of all layers
weights   between states, which are dense, and these arrays
session   training
"""
