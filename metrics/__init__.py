"""Figures that torchmetrics lacks, as `torchmetrics.Metric` classes."""

from metrics.code_perplexity import CodePerplexity
from metrics.code_usage import CodeUsage

__all__ = ["CodePerplexity", "CodeUsage"]
