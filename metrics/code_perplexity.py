"""How well a prior predicts codes, compared with their frequencies alone."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from metrics.code_usage import unigram_entropy


class CodePerplexity(Metric):
    """Perplexity per code, for all codes and for each class, with the unigram perplexity of the same codes.

    Why not `torchmetrics.text.Perplexity` alone: a collapsed codebook has perplexity 1. A good prior gains bits over
    the frequencies of the codes while most codes are in use.

    Args:
        num_codes: size of the codebook.
        num_classes: number of classes.

    `compute` gives a dict of scalars: `loss` (nats per code), `bits_per_code` (the same in bits), `perplexity`,
    `unigram_perplexity`, `bits_gained` (per code, over the unigram), `codes_in_use`, and `perplexity/<label>` for each
    label that was added.
    """

    full_state_update = False
    nats: Tensor
    num_predicted: Tensor
    counts: Tensor

    def __init__(self, num_codes: int, num_classes: int) -> None:
        super().__init__()
        self.add_state("nats", torch.zeros(num_classes), dist_reduce_fx="sum")
        self.add_state("num_predicted", torch.zeros(num_classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(num_codes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, codes: Tensor, labels: Tensor) -> None:
        """Adds logits (batch, length, num_codes) of codes (batch, length) with labels (batch,)."""
        nats = F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none").sum(dim=1)
        self.nats.index_add_(0, labels, nats.to(self.nats.dtype))
        self.num_predicted.index_add_(0, labels, torch.full_like(labels, codes.shape[1]))
        self.counts += torch.bincount(codes.flatten(), minlength=len(self.counts))

    def compute(self) -> dict[str, Tensor]:
        loss = self.nats.sum() / self.num_predicted.sum()
        unigram = unigram_entropy(self.counts)
        figures = {
            "loss": loss,
            "bits_per_code": loss / math.log(2),
            "perplexity": loss.exp(),
            "unigram_perplexity": unigram.exp(),
            "bits_gained": (unigram - loss) / math.log(2),
            "codes_in_use": (self.counts > 0).sum(),
        }
        for label in self.num_predicted.nonzero().flatten().tolist():
            figures[f"perplexity/{label}"] = (self.nats[label] / self.num_predicted[label]).exp()
        return {name: figure.float() for name, figure in figures.items()}
