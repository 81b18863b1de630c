"""How much of a codebook is in use."""

import torch
from torch import Tensor
from torchmetrics import Metric


class CodeUsage(Metric):
    """Perplexity of the codes' frequencies and the number of codes in use, over all batches and processes.

    Why: a VQ-VAE whose codebook has collapsed still has a falling loss, and its priors have a perplexity of almost 1.

    Args:
        num_codes: size of the codebook.

    `update` takes integer codes of any shape. `compute` gives a dict of scalars: `perplexity`, the exponential of the
    entropy of the codes' frequencies, from 1 to `num_codes`; `codes_in_use`, the codes seen at least once.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, num_codes: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(num_codes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, codes: Tensor) -> None:
        """Count the codes of a batch."""
        self.counts += torch.bincount(codes.flatten(), minlength=len(self.counts))

    def compute(self) -> dict[str, Tensor]:
        """The figures over everything counted since the last reset."""
        return {"perplexity": unigram_entropy(self.counts).exp(), "codes_in_use": (self.counts > 0).sum().float()}


def unigram_entropy(counts: Tensor) -> Tensor:
    """Entropy in nats of the frequencies given by counts (num_codes,)."""
    frequencies = counts / counts.sum().clamp(min=1)
    return -torch.xlogy(frequencies, frequencies).sum()
