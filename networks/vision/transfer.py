"""An image classifier on any pretrained backbone."""

import copy
from collections import OrderedDict
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn

from networks.vision.efficientnet_lite import efficientnet_lite0
from networks.vision.familiarity import Familiarity
from networks.vision.located import Located
from networks.vision.pretrained_weights import check_shapes, read_state
from networks.vision.resnet import IMAGENET_MEAN, IMAGENET_STD
from runtime.described import Described

LITE = "efficientnet_lite0"
SUCH_AS = "such as mobilenet_v3_large or convnext_tiny"


class TransferClassifier(Described, nn.Module):
    """A linear head on the mean of a backbone's last feature map, from pictures in [0, 1] to class logits.

    The backbone's weights are random until `load_pretrained` is called.

    Args:
        num_classes: outputs of the head.
        backbone: `efficientnet_lite0`, or the name of a classification network of torchvision that ends in a feature
            map.

    Attributes:
        trunk: the layers of the backbone up to its last feature map.
        head: the new linear layer.
        familiarity: similarity to the training photos, by which pictures of something else are refused.

    Raises:
        ValueError: if there is no such backbone.
    """

    def __init__(self, num_classes: int = 2, backbone: str = LITE) -> None:
        super().__init__()
        self.num_classes, self.backbone = num_classes, backbone
        parts = _build(backbone)
        num_features = _count_features(parts.trunk, backbone)
        self._prefix = parts.prefix
        self._names_of = parts.last_linear if parts.last_features == num_features else None
        self.trunk = parts.trunk.to(memory_format=torch.channels_last)
        self.head = nn.Linear(num_features, num_classes)
        self.familiarity = Familiarity(num_features, parts.num_names if self._names_of else 0)
        mean, std = ((0.5,) * 3, (0.5,) * 3) if backbone == LITE else (IMAGENET_MEAN, IMAGENET_STD)
        self.mean = nn.Buffer(torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(std).view(3, 1, 1), persistent=False)

    def features(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) in [0, 1] → (batch, features)."""
        return self._feature_map(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) in [0, 1] → logits (batch, num_classes)."""
        return self.head(self.features(images))

    def locate(self, images: Tensor) -> Located:
        """(batch, 3, height, width) in [0, 1] → classes, maps of 1 / 32 of the height and width, and familiarity."""
        features = self._feature_map(images)
        maps = torch.einsum("nfhw,cf->nchw", features, self.head.weight)
        means = features.mean(dim=(2, 3))
        return Located(self.head(means), maps, self.familiarity(means))

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the new head, for training it alone."""
        return list(self.head.parameters())

    def load_pretrained(self, weights: str) -> None:
        """Loads the backbone, and ImageNet's head for the familiarity.

        Args:
            weights: see `read_state`.

        Raises:
            FileNotFoundError, ValueError: as `read_state`, or if the file has other names or shapes.
        """
        stored = read_state(weights, self.backbone)
        wanted = self.trunk.state_dict(prefix=self._prefix)
        if self._names_of and self.familiarity.names is not None:
            wanted |= self.familiarity.names.state_dict(prefix=f"{self._names_of}.")
        first_parts = tuple({f"{name.split('.')[0]}." for name in wanted})
        found = {name: value for name, value in stored.items() if name.startswith(first_parts)}
        check_shapes(weights, f"the backbone {self.backbone}", wanted, found)
        for name, value in wanted.items():
            if name in found:  # `num_batches_tracked` may be missing
                value.copy_(found[name])

    def _feature_map(self, images: Tensor) -> Tensor:
        return self.trunk((images - self.mean) / self.std)


@dataclass(frozen=True)
class _Parts:
    """The layers up to the last feature map, and the last linear layer of the whole network."""

    trunk: nn.Module
    prefix: str  # of the trunk's names in the whole network
    last_linear: str
    last_features: int
    num_names: int


def _build(backbone: str) -> _Parts:
    try:
        network = efficientnet_lite0() if backbone == LITE else torchvision.models.get_model(backbone, weights=None)
    except ValueError as error:
        raise ValueError(
            f"backbone is {backbone!r}, expected {LITE} or a network of torchvision, {SUCH_AS}."
        ) from error
    linears = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    name, last = linears[-1] if linears else ("", nn.Linear(0, 0))
    for prefix in ("features", "layers"):
        if isinstance(trunk := getattr(network, prefix, None), nn.Sequential):
            return _Parts(trunk, f"{prefix}.", name, last.in_features, last.out_features)
    kept = OrderedDict(network.named_children())
    for child_name, child in list(kept.items()):
        if isinstance(child, nn.AdaptiveAvgPool2d | nn.Linear):
            del kept[child_name]
    return _Parts(nn.Sequential(kept), "", name, last.in_features, last.out_features)


def _count_features(trunk: nn.Module, backbone: str) -> int:
    try:
        shape = copy.deepcopy(trunk).to("meta").eval()(torch.empty(1, 3, 192, 288, device="meta")).shape
        if len(shape) == 4 and 3 * shape[2] == 2 * shape[3]:
            return int(shape[1])
    except (RuntimeError, TypeError, AssertionError):
        pass
    raise ValueError(f"backbone is {backbone!r}, expected one that ends in a feature map, {SUCH_AS}.")
