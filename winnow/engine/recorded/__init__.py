"""Training on a GPU: steps that are recorded once and replayed, while the host reads nothing.

`track` is where work runs and the only file that knows CUDA's graphs and streams; all else runs on
any device. `epochs` keeps on the device what an epoch's steps read, `ledger` what they saw, with a
flag that sticks where a network diverges. `single` and `rows` are what is trained: a network, or
several batched as one. `lane` replays its steps and `evaluating` its splits; `together` lets lanes
advance side by side, on streams of their own. `exactness` makes numbers repeatable.

Between two looks at the ledger a step runs as it would on torch's meta device, which has no numbers
to read: that is how tests without a GPU hold it to it.
"""
