"""Sound, spectrograms, pictures and video as data: no networks, no Lightning."""

from media.geometry import Geometry
from media.spectrogram import Spectrogram

__all__ = ["Geometry", "Spectrogram"]
