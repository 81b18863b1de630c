"""Sound, spectrograms, pictures and video as data: no networks, no Lightning."""

from media.sound.geometry import Geometry
from media.sound.spectrogram import Spectrogram

__all__ = ["Geometry", "Spectrogram"]
