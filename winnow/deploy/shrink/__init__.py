"""A network without what decides nothing.

``shrunk``: an equal network with smaller layers. ``Shrinking``: what went. ``checked``: whether a
network gives what a module gives.
"""

from winnow.deploy.shrink.cut import shrunk

__all__ = ["shrunk"]
