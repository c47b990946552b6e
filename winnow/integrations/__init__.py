"""Winnow in the trainers that people use: a callback for each, with the same arguments.

``winnow.integrations.lightning`` and ``winnow.integrations.transformers`` each import their
library and nothing else does. `sparse_training` is what they share: `wanted` is what they are asked
for, `beginning` makes of it what holds a model (`holding`), `carried` is what a checkpoint carries.
"""
