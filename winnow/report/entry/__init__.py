"""One's own method among the built-in ones: its ranks, calls with intervals, cost, and a verdict.

`entry` is the query over rows; `calls`, `strongest` and `pareto` its statistics; `entry_text`,
`entry_page` and `entry_figure` write and draw what it says.
"""
