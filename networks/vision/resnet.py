"""The image classifier."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

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

    def locate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of `forward`, and class activation maps (batch, num_classes, height / 32, width / 32).

        The mean of a map is its logit less the head's bias.

        Source: B. Zhou et al., "Learning Deep Features for Discriminative Localization", 2015, arXiv 1512.04150.
        """
        *layers, _, head = self.resnet.children()
        features = nn.Sequential(*layers)((images - self.mean) / self.std)
        maps = torch.einsum("nfhw,cf->nchw", features, head.weight)
        return maps.mean(dim=(2, 3)) + head.bias, maps

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
        state = {name: value for name, value in _read_state(weights).items() if not name.startswith("fc.")}
        wanted, found = _shapes(self.resnet.state_dict()), _shapes(state)
        if wanted != found:
            wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            raise ValueError(
                f"{weights} holds no weights of a ResNet-50: expected {wrong[0]} to be {wanted.get(wrong[0])}, "
                f"found {found.get(wrong[0])} ({len(wrong)} such differences)."
            )
        self.resnet.load_state_dict(state, strict=False)


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    """Shapes without those of the head, and of the counts of batches, which old files lack."""
    left_out = ("fc.weight", "fc.bias", "num_batches_tracked")
    return {name: value.shape for name, value in state.items() if not name.endswith(left_out)}


def _read_state(weights: str) -> dict[str, Tensor]:
    if weights in torchvision.models.ResNet50_Weights.__members__:
        source = torchvision.models.ResNet50_Weights[weights]
        try:
            return source.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: the file's hash is wrong
            raise FileNotFoundError(
                f"The ImageNet weights could not be downloaded ({error}). Without a network, fetch {source.url} "
                f"elsewhere and pass the file: --model.weights path/to/{Path(source.url).name}; "
                "or train from scratch: --model.weights null"
            ) from error
    if not Path(weights).exists():
        names = ", ".join(torchvision.models.ResNet50_Weights.__members__)
        raise FileNotFoundError(f"weights is {weights!r}: expected null, one of {names}, or a file that exists.")
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{weights} cannot be read as a state dict of weights: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{weights} holds no state dict: expected names and tensors as torchvision writes them.")
    return state
