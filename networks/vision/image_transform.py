"""From a picture of any size to the input of an image classifier."""

import torch
from torchvision.transforms import v2


def evaluation_transform(image_size: int) -> v2.Transform:
    """The classifier's view of a picture: its shorter side is made a little larger than the image, then cropped.

    The transform takes uint8 (..., 3, height, width), photos as well as frames of a video, and gives float32
    (..., 3, image_size, image_size) in [0, 1].
    """
    return v2.Compose(
        [
            v2.Resize(round(image_size * 256 / 224)),
            v2.CenterCrop(image_size),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
