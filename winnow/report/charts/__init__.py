"""Interactive charts, as plain values and as Vega-Lite: what a reader hovers over, toggles, zooms.

``chart`` has the values; ``of_views`` and ``of_arms`` make them from rows, ``printed`` from claims
with the paper's numbers, ``by_round`` what a slider goes through; ``looks`` says how a series is
drawn, ``vega`` writes the specification.
"""
