"""``winnow bench``: what a training step costs against density, beside plain torch.

`sides` are the rivals, `compare` times them in turns, `figure` draws, `write` keeps.
"""
