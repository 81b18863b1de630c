"""The architectures, without their training."""

from networks.codec.quantizer import EMAQuantizer, Quantized
from networks.codec.vqvae2 import VQVAE2, VQVAE2Output
from networks.prior.code_prior import CodePrior, TopContext
from networks.prior.sampling import Sampling, sample_codes, stream_columns
from networks.vision.moments import MomentNetwork
from networks.vision.resnet import ResNet50
from networks.vision.transfer import TransferClassifier
from runtime.described import Described, build

__all__ = [
    "VQVAE2",
    "CodePrior",
    "Described",
    "EMAQuantizer",
    "MomentNetwork",
    "Quantized",
    "ResNet50",
    "Sampling",
    "TopContext",
    "TransferClassifier",
    "VQVAE2Output",
    "build",
    "sample_codes",
    "stream_columns",
]
