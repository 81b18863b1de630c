"""A composite of tiny models that tells colours apart, and clips for it."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from lightning_modules import VideoToAudio
from networks.vision.located import Located
from tests.helpers.tiny import CLASSES, GEOMETRY, fitted_vqvae, tiny_bottom, tiny_classifier, tiny_top

RED, GREEN, GREY = (0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.5, 0.5, 0.5)
SYSTEMS = {
    "vqvae": fitted_vqvae(),
    "top": tiny_top().eval(),
    "bottom": tiny_bottom().eval(),
    "classifier": tiny_classifier().eval(),
}


class ColourSense(nn.Module):
    """Red is class 0, green is class 1, grey may be either."""

    def locate(self, images: torch.Tensor) -> Located:
        activation_maps = 8 * images[:, :2, ::4, ::4]
        familiarity = images.mean(dim=(1, 2, 3))  # grey is the most familiar, at 0.5
        return Located(activation_maps.mean(dim=(2, 3)), activation_maps, familiarity)


SYSTEMS["classifier"].network = ColourSense()
SYSTEMS["classifier"].facts = {"classes": CLASSES, "image_size": 16}


class ColourClip:
    """Plain colours, each for a quarter of a second."""

    path, name, frames_per_second = Path("clip.mp4"), "clip", 4.0

    def __init__(self, *colours, duration_s: float | None = None, is_photo: bool = False) -> None:
        self.colours = colours
        self.duration_s = None if is_photo else duration_s or 0.25 * len(colours)

    def frames(self, max_side: int):
        for number, colour in enumerate(self.colours):
            yield number / self.frames_per_second, np.full((24, 32, 3), np.array(colour) * 255, np.uint8)


def composite(**options) -> VideoToAudio:
    model = VideoToAudio(**{"num_iterations": 2, "smoothing_s": 0.0} | options).eval()
    for name, system in SYSTEMS.items():
        setattr(model, name, system)
    model.classes, model.geometry = CLASSES, GEOMETRY
    model.fingerprints = dict.fromkeys(SYSTEMS, "0123")
    return model
