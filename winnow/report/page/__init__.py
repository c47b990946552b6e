"""The page: one HTML file that needs no network, from templates, styles and scripts in files.

``section`` is what a caller gives, ``contents`` what templates show of it, ``payload`` what the
page's script gets; ``costs`` and ``run_list`` are parts of both; ``render`` fills templates.
"""

from winnow.report.page.render import page_html
from winnow.report.page.section import Section

__all__ = ["Section", "page_html"]
