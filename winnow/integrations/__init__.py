"""Winnow in the trainers that people use: a callback for each, with the same arguments.

``winnow.integrations.lightning`` and ``winnow.integrations.transformers`` each import their
library and nothing else does. `plan` is what a callback is asked for, `holding` what holds it in a
loop that somebody else runs, `record` what a checkpoint carries of it.
"""
