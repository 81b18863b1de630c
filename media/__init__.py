"""Sound, spectrograms, pictures and video as data: no networks, no Lightning."""

from media.geometry import Geometry

__all__ = ["Geometry"]
