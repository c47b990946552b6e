"""Why a ticket works: its gain over random masks, divided into parts that sum to the whole.

`decompose` has the cells, the formula and the intervals; `parts_text`, `parts_figure` and
`parts_page` write and draw them.
"""
