"""A network for the search in libraries of sound effects, which gives embeddings."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.serialization import safe_globals
from torchaudio.transforms import MelSpectrogram

CHECKPOINT = "aisfx/models/checkpoint.pth"  # in the wheel
SOURCE = "pip download --no-deps aisfx==0.1.2"
PREFIX = "embedding_net."  # of the weights of the embedding; the others belong to heads for single libraries
POOL_SIZES = (2, 2, 2, 1)
PATCH_FRAMES, HOP_FRAMES = 100, 50  # 2.3 s, and half of it
SCALE, LARGEST_LEVEL = 1e4, 9.457798957824707  # of the spectrograms that it was fitted on
SMALLEST = 1e-6  # sum of a filter's weights to divide by


class AiSFX:
    """The embedding of aiSFX, an `Embedding` that is independent of YAMNet.

    Why: a judge by which models were chosen flatters them. This network was fitted on commercial libraries of sound
    effects, and shares neither data nor labels with YAMNet. It is optional and needs one file, the wheel of the package
    aisfx. Nothing is installed, as the package needs old versions of others.

    A sound is cut into patches of 2.3 s that overlap by half. The last one ends with the sound. A shorter sound is
    padded with silence.

    Args:
        path: wheel of aisfx 0.1.2.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not that wheel.

    Source: Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries", 2022
    (https://github.com/alisonbma/aisfx, weights CC BY 4.0).
    """

    name = "aiSFX"
    sample_rate_hz = 44_100

    def __init__(self, path: str | Path = "aisfx-0.1.2-py2.py3-none-any.whl") -> None:
        self._blocks = _read_network(Path(path))
        self.num_dimensions = self._blocks[-1].bn2.num_features
        self._mel_power = MelSpectrogram(
            self.sample_rate_hz, n_fft=2048, hop_length=1024, n_mels=96, f_max=self.sample_rate_hz / 2
        )
        filters = self._mel_power.mel_scale.fb
        self._mel_power.mel_scale.fb = filters / filters.sum(dim=0).clamp(min=SMALLEST)

    def embed(self, waveforms: Tensor) -> Tensor:
        """(batch, num_dimensions) float32 mean over the patches of waveforms (batch, samples) at 44.1 kHz."""
        with torch.inference_mode():
            levels = (SCALE * self._mel_power(waveforms.float().cpu()) + 1).log10().transpose(1, 2) / LARGEST_LEVEL
            levels = functional.pad(levels, (0, 0, 0, max(0, PATCH_FRAMES - levels.shape[1])))
            last = levels.shape[1] - PATCH_FRAMES
            starts = [*range(0, last, HOP_FRAMES), last]
            return torch.stack([self._embed_patch(levels[:, start : start + PATCH_FRAMES]) for start in starts]).mean(0)

    def _embed_patch(self, levels: Tensor) -> Tensor:
        """(batch, num_dimensions) of levels (batch, frames, bands)."""
        maps = levels[:, None]
        for block, size in zip(self._blocks, POOL_SIZES, strict=True):
            maps = functional.max_pool2d(block(maps), size)
        return maps.mean(dim=3).amax(dim=2)


class _Block(nn.Module):
    """Two convolutions, with the names of the published weights."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        maps = functional.relu(self.bn1(self.conv1(maps)))
        return functional.relu(self.bn2(self.conv2(maps)))


def _read_network(path: Path) -> list[_Block]:
    """The four blocks with their weights, as wide as these are."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}. Get it with: {SOURCE}")
    scalar = np.int64(0).__reduce__()[0]  # of a table beside the weights, which NumPy before 2 wrote
    numpy_types: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, type(np.dtype(np.int64))]
    try:
        with zipfile.ZipFile(path) as wheel, wheel.open(CHECKPOINT) as file, safe_globals(numpy_types):
            weights, _ = torch.load(file, map_location="cpu", weights_only=True)
        blocks = []
        for number in range(1, 1 + len(POOL_SIZES)):
            start = f"{PREFIX}conv_block{number}."
            own = {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
            channels, in_channels = own["conv1.weight"].shape[:2]
            block = _Block(in_channels, channels).eval()
            block.load_state_dict(own)
            blocks.append(block)
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{path} should be the wheel of aisfx 0.1.2, with its weights. Get it with: {SOURCE}"
        ) from error
    return blocks
