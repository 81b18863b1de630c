"""From a picture of any size to the input of an image classifier."""

import torch
from torchvision.transforms import v2


def evaluation_transform(image_size: int) -> v2.Transform:
    """Resizes the shorter side to a little more than `image_size` pixels, then crops the middle.

    The transform maps uint8 (..., 3, height, width) to float32 (..., 3, image_size, image_size) in [0, 1].
    """
    return v2.Compose(
        [v2.Resize(round(image_size * 256 / 224)), v2.CenterCrop(image_size), v2.ToDtype(torch.float32, scale=True)]
    )
