"""The image classifier."""

import torch
import torchvision
from torch import Tensor, nn

from networks.vision.located import Located
from networks.vision.pretrained_weights import check_shapes, read_state
from runtime.described import Described

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ResNet50(Described, nn.Module):
    """torchvision's ResNet-50 with a new head, from pictures in [0, 1] to class logits.

    Its weights are random until `load_pretrained` is called at the start of a fit.

    Args:
        num_classes: outputs of the head.

    Source: K. He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv 1512.03385.
    """

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.resnet = torchvision.models.resnet50(weights=None, num_classes=num_classes)
        self.resnet.to(memory_format=torch.channels_last)  # a third faster on a CPU
        self.mean = nn.Buffer(torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) in [0, 1] → logits (batch, num_classes)."""
        return self.resnet((images - self.mean) / self.std)

    def locate(self, images: Tensor) -> Located:
        """The logits of `forward`, and class activation maps of 1 / 32 of the height and width.

        Source: B. Zhou et al., "Learning Deep Features for Discriminative Localization", 2015, arXiv 1512.04150.
        """
        *layers, _, head = self.resnet.children()
        features = nn.Sequential(*layers)((images - self.mean) / self.std)
        maps = torch.einsum("nfhw,cf->nchw", features, head.weight)
        return Located(maps.mean(dim=(2, 3)) + head.bias, maps, maps.new_ones(len(maps)))

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the new head, for training it alone."""
        return list(self.resnet.fc.parameters())

    def load_pretrained(self, weights: str) -> None:
        """Loads everything but the head from torchvision's hub or from a file.

        Args:
            weights: name such as `IMAGENET1K_V2`, downloaded once to torch's cache, or path of a state dict.

        Raises:
            FileNotFoundError: if the name is unknown, or the file or the download is not available.
            ValueError: if the file does not hold the weights of a ResNet-50.
        """
        state = {name: value for name, value in read_state(weights, "resnet50").items() if not name.startswith("fc.")}
        body = {name: value for name, value in self.resnet.state_dict().items() if not name.startswith("fc.")}
        check_shapes(weights, "a ResNet-50", body, state)
        self.resnet.load_state_dict(state, strict=False)
