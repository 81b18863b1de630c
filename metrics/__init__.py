"""Metrics that torchmetrics lacks, as `torchmetrics.Metric` classes."""

from metrics.class_agreement import ClassAgreement
from metrics.code_perplexity import CodePerplexity
from metrics.code_usage import CodeUsage
from metrics.estimate import Estimate
from metrics.frechet_distance import FrechetAudioDistance
from metrics.kernel_distance import KernelAudioDistance
from metrics.listeners.aisfx import AiSFX
from metrics.listeners.class_head import ClassHead
from metrics.listeners.embeddings import Embedding, MelStatistics
from metrics.listeners.yamnet import YAMNet
from metrics.nearest_neighbours import NearestNeighbourDistance
from metrics.spectral_distance import SpectralDistance

__all__ = [
    "AiSFX",
    "ClassAgreement",
    "ClassHead",
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
