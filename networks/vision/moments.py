"""The network that knows at which moments of a movement something is heard."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media.known import known
from media.video.motion import CHANNELS, mirror_motion, normalise_motion
from runtime.described import Described


class MomentNetwork(Described, nn.Module):
    """From movement on a coarse grid to the logit, in each frame, that a sound starts there.

    Convolutions over time and neighbouring cells see what happens in a place: a stroke that ends, a mouth that opens.
    They are the same everywhere, so that a film teaches for all places. The places' maximum and mean, and dilated
    convolutions over 1.5 s in all, see when.

    Args:
        width: channels in each place.
        hidden: channels of the whole picture.
        dropout: dropout of the latter.

    Attributes:
        threshold: lowest probability of an onset, chosen on held-out films.
    """

    changeable = frozenset({"dropout"})

    def __init__(self, width: int = 16, hidden: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.places = nn.Sequential(
            nn.Conv3d(len(CHANNELS), width, (5, 3, 3), padding=(2, 1, 1)),
            nn.SiLU(),
            nn.Conv3d(width, width, (5, 3, 3), stride=(1, 2, 2), padding=(2, 1, 1)),
            nn.SiLU(),
        )
        self.first = nn.Conv1d(2 * width, hidden, 5, padding=2)
        self.later = nn.ModuleList(nn.Conv1d(hidden, hidden, 5, padding=2 * d, dilation=d) for d in (2, 4))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv1d(hidden, 1, 1)
        nn.init.constant_(known(self.head.bias), -3.0)  # onsets are rare
        self.threshold = nn.Buffer(torch.tensor(0.2))

    def forward(self, motion: Tensor) -> Tensor:
        """Motion (batch, frames, channels, rows, columns), as `normalise_motion` scales it → logits (batch, frames)."""
        places = self.places(motion.transpose(1, 2))
        frames = torch.cat([places.amax(dim=(3, 4)), places.mean(dim=(3, 4))], dim=1)
        frames = self.dropout(F.silu(self.first(frames)))
        for convolution in self.later:
            frames = frames + F.silu(convolution(frames))
        return self.head(self.dropout(frames))[:, 0]

    @torch.inference_mode()
    def find_probabilities(self, motion: np.ndarray) -> np.ndarray:
        """Motion of a film (frames, channels, rows, columns), as measured → probability of an onset in each frame.

        The logits are means of those of the film and of its mirror image.
        """
        scaled = normalise_motion(motion)
        both = torch.from_numpy(np.stack([scaled, mirror_motion(scaled)])).to(self.threshold.device)
        return self(both).float().mean(dim=0).sigmoid().cpu().numpy()
