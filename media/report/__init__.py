"""Reports of inputs and evaluations: HTML pages that need no network."""

from media.report.page import Report, ReportVariant, write_report

__all__ = ["Report", "ReportVariant", "write_report"]
