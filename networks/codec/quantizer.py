"""Vector quantisation with a codebook that follows the data."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

NUM_KMEANS_ITERATIONS = 10
NUM_VECTORS_AT_ONCE = 4096  # their distances to a codebook stay in a processor's cache


@dataclass(frozen=True)
class Quantized:
    """The result of a quantiser.

    Attributes:
        vectors: (batch, dim, rows, columns) nearest codebook vectors. Gradients pass straight through.
        codes: (batch, rows, columns) integer indices of these vectors.
        commitment_loss: scalar mean squared distance from the encoder's vectors to the codebook's.
    """

    vectors: Tensor
    codes: Tensor
    commitment_loss: Tensor


class _StraightThrough(torch.autograd.Function):
    """`x + (quantized - x).detach()` without rounding, at half the memory traffic."""

    @staticmethod
    def forward(ctx: FunctionCtx, vectors: Tensor, quantized: Tensor) -> Tensor:
        return quantized.view_as(quantized)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class EMAQuantizer(nn.Module):
    """Nearest-neighbour quantiser whose codebook is a moving average of the vectors assigned to each code.

    Its `index_add_` is several times faster on a CPU than the one-hot forms of libraries. The codebook starts from
    k-means on the first batch, as spectrograms are mostly silence, from which a random one collapses to a few codes.
    Dead codes are moved onto badly represented vectors of a batch, drawn by their squared error as in k-means++.

    The codebook stays in fp32, as the averages overflow in fp16. All processes of a distributed training have the same,
    from summed statistics. Random choices depend only on the number of updates, which is part of the state, so a
    resumed run repeats them. The number is also kept on the CPU, so that no step waits for a GPU.

    Args:
        num_codes: vectors in the codebook.
        dim: length of a vector.
        decay: decay of the moving averages.
        revive_below: uses per batch, as a moving average, below which a code is replaced; 0 never replaces.

    Source: A. van den Oord et al., "Neural Discrete Representation Learning", 2017, appendix A.1 (moving averages);
    A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 2.2; replacement of dead
    codes: P. Dhariwal et al., "Jukebox", 2020, section 3.1; k-means start: N. Zeghidour et al., "SoundStream", 2021.
    """

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99, revive_below: float = 0.5) -> None:
        super().__init__()
        self.decay = decay
        self.revive_below = revive_below
        codebook = torch.randn(num_codes, dim)
        self.codebook: Tensor = nn.Buffer(codebook)
        self.cluster_size: Tensor = nn.Buffer(torch.ones(num_codes))
        self.cluster_sum: Tensor = nn.Buffer(codebook.clone())
        self.num_updates: Tensor = nn.Buffer(torch.zeros((), dtype=torch.long))
        self._num_updates = -1  # not yet read from the buffer

    def forward(self, vectors: Tensor) -> Quantized:
        """Quantises (batch, dim, rows, columns). In training mode it also updates the codebook."""
        with torch.autocast(vectors.device.type, enabled=False):
            channels_last = vectors.float().movedim(1, -1)
            flat = channels_last.reshape(-1, channels_last.shape[-1])
            if self.training and self._num_updates < 0:
                self._num_updates = int(self.num_updates)
            if self.training and self._num_updates == 0:
                self._start_from(flat.detach())
            codes = self._nearest(flat.detach())
            quantized = F.embedding(codes, self.codebook).view_as(channels_last)
            if self.training:
                self._follow(flat.detach(), codes)
            return Quantized(
                vectors=_StraightThrough.apply(channels_last, quantized).movedim(-1, 1).to(vectors.dtype),
                codes=codes.view(channels_last.shape[:-1]),
                commitment_loss=F.mse_loss(channels_last, quantized),
            )

    def embed(self, codes: Tensor) -> Tensor:
        """Codes (batch, rows, columns) → their vectors (batch, dim, rows, columns), fp32."""
        return F.embedding(codes, self.codebook).movedim(-1, 1)

    def _nearest(self, flat: Tensor) -> Tensor:
        square, columns = self.codebook.square().sum(1), self.codebook.T
        parts = flat.split(NUM_VECTORS_AT_ONCE)
        return torch.cat([torch.addmm(square, part, columns, alpha=-2).argmin(dim=1) for part in parts])

    def _statistics(self, flat: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Number and sum of the vectors of each code, over all processes."""
        count = flat.new_zeros(len(self.codebook)).index_add_(0, codes, flat.new_ones(len(codes)))
        total = torch.zeros_like(self.codebook).index_add_(0, codes, flat)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(count)
            dist.all_reduce(total)
        return count, total

    @torch.no_grad()
    def _start_from(self, flat: Tensor) -> None:
        """k-means on the first batch."""
        self._spread_over(flat)
        for _ in range(NUM_KMEANS_ITERATIONS):
            count, total = self._statistics(flat, self._nearest(flat))
            self.codebook.copy_(torch.where(count[:, None] > 0, total / count[:, None].clamp(min=1), self.codebook))
            self._move_onto_badly_represented(flat, count == 0)
        # The weight of one vector: the encoder changes fast at first, so the averages must soon forget this start.
        self.cluster_size.fill_(1.0)
        self.cluster_sum.copy_(self.codebook)

    def _spread_over(self, flat: Tensor) -> None:
        """k-means++: moves each code onto a vector drawn by its squared distance to the codes before it."""
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(len(flat), (1,), generator=generator)
        error = torch.full((len(flat),), torch.inf, device=flat.device)
        for code in range(len(self.codebook)):
            self.codebook[code] = flat[drawn.to(flat.device)]
            error = error.minimum((flat - self.codebook[code]).square().sum(dim=1))
            drawn = torch.multinomial(error.cpu().double() + 1e-12, 1, generator=generator)
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(self.codebook, src=0)

    @torch.no_grad()
    def _follow(self, flat: Tensor, codes: Tensor) -> None:
        """Updates the moving averages, then revives dead codes.

        A batch that overflowed changes only the count, as with the gradient scaler. The averages would not recover.
        """
        count, total = self._statistics(flat, codes)
        self._num_updates += 1
        self.num_updates += 1
        is_finite = total.isfinite().all()
        size = self.cluster_size.lerp(count, 1 - self.decay)
        self.cluster_size.copy_(torch.where(is_finite, size, self.cluster_size))
        self.cluster_sum.copy_(torch.where(is_finite, self.cluster_sum.lerp(total, 1 - self.decay), self.cluster_sum))
        in_use = self.cluster_size[:, None] > 1e-5  # without revival, a dead code keeps its vector
        self.codebook.copy_(torch.where(in_use, self.cluster_sum / self.cluster_size[:, None], self.codebook))
        dead = (self.cluster_size < self.revive_below) & is_finite
        self._move_onto_badly_represented(flat, dead)
        self.cluster_size.masked_fill_(dead, 1.0)
        self.cluster_sum.copy_(torch.where(dead[:, None], self.codebook, self.cluster_sum))

    def _move_onto_badly_represented(self, flat: Tensor, chosen: Tensor) -> None:
        """Moves the chosen codes onto vectors drawn in proportion to their squared error.

        This is `torch.multinomial` without replacement, but a GPU need not wait for the number of chosen codes.
        """
        if chosen.device.type == "cpu" and not chosen.any():
            return
        dtype = torch.float32 if flat.device.type == "mps" else torch.float64  # Apple's GPUs have no double precision
        weights = (flat - self.codebook[self._nearest(flat)]).square().sum(dim=1).to(dtype) + 1e-12
        generator = torch.Generator(flat.device).manual_seed(self._num_updates)
        noise = torch.empty_like(weights).exponential_(generator=generator)
        drawn = (weights / noise).topk(min(len(weights), len(chosen))).indices
        vectors = flat[drawn[(chosen.cumsum(0) - 1) % len(drawn)]]
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(vectors, src=0)
        self.codebook.copy_(torch.where(chosen[:, None], vectors, self.codebook))

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._num_updates = -1

    def _apply(self, fn, recurse: bool = True):
        """Moves the buffers, but keeps them in fp32 if the module is cast to half precision."""
        before = {name: getattr(self, name) for name in ("codebook", "cluster_size", "cluster_sum")}
        super()._apply(fn, recurse)
        for name, exact in before.items():
            moved = getattr(self, name)
            if moved.dtype != torch.float32:  # a cast there and back would have rounded the values
                setattr(self, name, exact.to(moved.device))
        return self
