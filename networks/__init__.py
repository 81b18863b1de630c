"""Tensors in, tensors out: the architectures, without any training."""

from networks.description import Described, build
from networks.prior import CodePrior, TopContext
from networks.quantizer import EMAQuantizer, Quantized
from networks.resnet import ResNet50
from networks.sampling import Sampling, sample_codes, stream_columns
from networks.vqvae2 import VQVAE2, VQVAE2Output

__all__ = [
    "VQVAE2",
    "CodePrior",
    "Described",
    "EMAQuantizer",
    "Quantized",
    "ResNet50",
    "Sampling",
    "TopContext",
    "VQVAE2Output",
    "build",
    "sample_codes",
    "stream_columns",
]
