"""When and how to learn: loss, metrics, optimiser and logging of each system, and the composite of all."""

from lightning_modules.classifier import Classifier
from lightning_modules.moments import Moments
from lightning_modules.one_network import OneNetwork
from lightning_modules.prior import BottomPrior, TopPrior
from lightning_modules.system import System
from lightning_modules.video_to_audio import VideoToAudio
from lightning_modules.vqvae import VQVAE
from runtime.checkpoint import load

__all__ = ["VQVAE", "BottomPrior", "Classifier", "Moments", "OneNetwork", "System", "TopPrior", "VideoToAudio", "load"]
