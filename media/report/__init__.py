"""Reports of inputs and evaluations: HTML pages that need no network."""

from media.report.contents import Report, ReportVariant
from media.report.page import write_report

__all__ = ["Report", "ReportVariant", "write_report"]
