"""Reports for people: self-contained HTML pages of text, tables and plots. Needs the extra [report].

page: a page of sections, written at once. plots: bars as SVG. What the numbers mean is known to those who call.
"""

from __future__ import annotations

from intsim.report.page import Page, Section, Table, write_page
from intsim.report.plots import Bars, bars, plotting

__all__ = ["Bars", "Page", "Section", "Table", "bars", "plotting", "write_page"]
