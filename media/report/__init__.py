"""The report of one input: pictures, decisions and sounds in one HTML file that needs no network."""

from media.report.contents import Report, ReportVariant
from media.report.page import write_report

__all__ = ["Report", "ReportVariant", "write_report"]
