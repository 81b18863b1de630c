"""Whether a picture shows one of the classes at all."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_NEIGHBOURS = 5
NUM_KEPT_NAMES = 50
KEPT_FRACTION = 0.97  # of the validation photos, at least, if there are no photos of something else
TAIL_DEVIATIONS = 1.88  # below the mean of a normal distribution, to keep 97 % of it


class Familiarity(nn.Module):
    """Similarity of a picture to the training photos, with a threshold below which it shows none of the classes.

    Why not the classifier's probability: a softmax over cat and dog is sure of one of them for any picture. The score
    is the mean cosine similarity to the most similar training photos. They are compared by the names that ImageNet's
    head gives them, as far as these stand out: logits above the 50th largest. Without such a head, features are
    compared.

    Args:
        num_features: features of the backbone.
        num_names: outputs of ImageNet's head; 0 if there is none.

    Attributes:
        references: (training photos, names or features) unit vectors; empty before a fit.
        threshold: () smallest score of a picture that shows a class.
    """

    references: Tensor
    threshold: Tensor

    def __init__(self, num_features: int, num_names: int = 0) -> None:
        super().__init__()
        self.names = nn.Linear(num_features, num_names).requires_grad_(False) if num_names else None
        self.register_buffer("references", torch.empty(0, num_names or num_features))
        self.register_buffer("threshold", torch.tensor(-1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, num_features) → scores (batch,) in [-1, 1]; 1 without references."""
        if not len(self.references):
            return features.new_ones(len(features))
        similarities = self._describe(features) @ self.references.T
        return similarities.topk(min(NUM_NEIGHBOURS, len(self.references)), dim=1).values.mean(dim=1)

    def remember(self, features: Tensor) -> None:
        """Replaces the references by training photos with these features (photos, num_features)."""
        self.references = self._describe(features)

    def choose_threshold(self, known: Tensor, other: Tensor) -> None:
        """Chooses the threshold by the scores of validation photos.

        Args:
            known: (photos,) scores of photos of a class.
            other: (photos,) scores of photos of something else. With them the balanced accuracy is the largest
                possible. Without them at least 97 % of the known photos reach the threshold. It is lower if a normal
                distribution with their mean and deviation has a longer tail, as a few dozen photos say little about it.
        """
        if not len(other):
            kept = known.quantile(1 - KEPT_FRACTION, interpolation="lower")
            self.threshold = torch.minimum(kept, known.mean() - TAIL_DEVIATIONS * known.std(correction=0))
            return
        candidates = torch.cat([known, other]).sort().values
        kept = (known >= candidates[:, None]).float().mean(dim=1)
        refused = (other < candidates[:, None]).float().mean(dim=1)
        best = int((kept + refused).argmax())
        self.threshold = (candidates[best] + candidates[max(best - 1, 0)]) / 2

    def _describe(self, features: Tensor) -> Tensor:
        described = features.float()
        if self.names is not None:
            logits = self.names(described)
            described = F.relu(logits - logits.topk(min(NUM_KEPT_NAMES, logits.shape[1]), dim=1).values[:, -1:])
        return F.normalize(described, dim=1)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        """Takes over as many references as a checkpoint has."""
        if (stored := state_dict.get(f"{prefix}references")) is not None:
            self.references = self.references.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
