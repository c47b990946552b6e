"""A network without what decides nothing.

``shrunk``: an equal network with smaller layers. ``shrinking``: what went, layer by layer.
``checked``: whether a network gives what the masked module gives.
"""

from winnow.deployment.shrink.check import checked
from winnow.deployment.shrink.cut import shrunk
from winnow.deployment.shrink.sizes import LayerSize, Shrinking, shrinking, sizes_of_layers

__all__ = ["LayerSize", "Shrinking", "checked", "shrinking", "shrunk", "sizes_of_layers"]
