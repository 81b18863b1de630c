"""How much of a codebook is in use."""

import torch
from torch import Tensor
from torchmetrics import Metric


class CodeUsage(Metric):
    """Perplexity of the codes' frequencies and the number of codes in use, over all batches and processes.

    Why: a VQ-VAE's loss may fall although its codebook has collapsed, which also makes its priors' perplexity small.

    Args:
        num_codes: size of the codebook.

    `compute` gives a dict of scalars: `perplexity`, the exponential of the entropy of the codes' frequencies, from 1 to
    `num_codes`, and `codes_in_use`, the number of codes that occurred.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, num_codes: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(num_codes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, codes: Tensor) -> None:
        """Counts integer codes of any shape."""
        self.counts += torch.bincount(codes.flatten(), minlength=len(self.counts))

    def compute(self) -> dict[str, Tensor]:
        return {"perplexity": unigram_entropy(self.counts).exp(), "codes_in_use": (self.counts > 0).sum().float()}


def unigram_entropy(counts: Tensor) -> Tensor:
    """Entropy in nats of the frequencies behind counts (num_codes,)."""
    frequencies = counts / counts.sum().clamp(min=1)
    return -torch.xlogy(frequencies, frequencies).sum()
