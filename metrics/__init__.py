"""Figures that torchmetrics lacks, as `torchmetrics.Metric` classes."""

from metrics.class_agreement import ClassAgreement
from metrics.code_perplexity import CodePerplexity
from metrics.code_usage import CodeUsage
from metrics.embeddings import Embedding, MelStatistics
from metrics.estimate import Estimate
from metrics.frechet_distance import FrechetAudioDistance
from metrics.kernel_distance import KernelAudioDistance
from metrics.nearest_neighbours import NearestNeighbourDistance
from metrics.spectral_distance import SpectralDistance
from metrics.yamnet import YAMNet

__all__ = [
    "ClassAgreement",
    "CodePerplexity",
    "CodeUsage",
    "Embedding",
    "Estimate",
    "FrechetAudioDistance",
    "KernelAudioDistance",
    "MelStatistics",
    "NearestNeighbourDistance",
    "SpectralDistance",
    "YAMNet",
]
