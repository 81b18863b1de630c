"""How well a prior predicts codes, beside what the codes' frequencies alone would give."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from metrics.code_usage import unigram_entropy


class CodePerplexity(Metric):
    """Perplexity per code, for all codes and for each class, with the unigram perplexity of the same codes.

    Why not `torchmetrics.text.Perplexity` alone: perplexity says nothing without the codebook behind it. A collapsed
    codebook has perplexity 1; what counts is the bits gained over the codes' own frequencies, with most codes in use.

    Args:
        num_codes: size of the codebook.
        num_classes: classes of the sounds.

    `compute` gives a dict of scalars: `loss` (nats per code), `bits_per_code` (the same in bits), `perplexity`,
    `unigram_perplexity`, `bits_gained` (per code, over the unigram), `codes_in_use`, and
    `perplexity/<number of the class>` for classes that were seen.
    """

    full_state_update = False
    nats: Tensor
    num_predicted: Tensor
    counts: Tensor

    def __init__(self, num_codes: int, num_classes: int) -> None:
        super().__init__()
        for name, size in (("nats", num_classes), ("num_predicted", num_classes), ("counts", num_codes)):
            zeros = torch.zeros(size, dtype=torch.float if name == "nats" else torch.long)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, logits: Tensor, codes: Tensor, labels: Tensor) -> None:
        """Add logits (batch, length, num_codes) of codes (batch, length) with labels (batch,)."""
        nats = F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none").sum(dim=1)
        self.nats.index_add_(0, labels, nats.to(self.nats.dtype))
        self.num_predicted.index_add_(0, labels, torch.full_like(labels, codes.shape[1]))
        self.counts += torch.bincount(codes.flatten(), minlength=len(self.counts))

    def compute(self) -> dict[str, Tensor]:
        """The figures over everything added since the last reset."""
        loss = self.nats.sum() / self.num_predicted.sum()
        unigram = unigram_entropy(self.counts)
        figures = {
            "loss": loss.float(),
            "bits_per_code": (loss / math.log(2)).float(),
            "perplexity": loss.exp().float(),
            "unigram_perplexity": unigram.exp().float(),
            "bits_gained": ((unigram - loss) / math.log(2)).float(),
            "codes_in_use": (self.counts > 0).sum().float(),
        }
        for label in self.num_predicted.nonzero().flatten().tolist():
            figures[f"perplexity/{label}"] = (self.nats[label] / self.num_predicted[label]).exp().float()
        return figures
