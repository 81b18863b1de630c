"""Whether a tagger hears in sounds the classes they should be of."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from metrics.estimate import Estimate, group_numbers, weighted_mean_estimate

HEARD_ABOVE = 0.1
ANY_ANIMAL = "Animal"
WORDS = {
    "cat": ("Cat", "Purr", "Meow", "Hiss", "Caterwaul"),
    "dog": ("Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling", "Whimper (dog)"),
}


class ClassAgreement(Metric):
    """Share of sounds in which a tagger hears the class that they should be of.

    Why: sets of sounds may be close to each other while cats bark. A tagger that was fitted on millions of other sounds
    tells, with no part in the training.

    Args:
        class_names: the tagger's classes, in the order of its scores.
        classes: the classes of the sounds; labels are positions in it.
        words: for a class, the tagger's classes that are like it. Where a class is missing, `WORDS` has those of cats
            and dogs, and otherwise it is the tagger's class of the same name, in whatever case.

    `compute` gives a dict of `Estimate`, shares from 0 to 1, each for all sounds, as `heard`, and for each class that
    was seen, as `heard/<class>`:
        forced_choice: among the classes, the own one has the word with the largest score.
        named: the score of one of the own class's words is above 0.1.
        heard: that, or the score of 'Animal' is (where the tagger has that word).

    The intervals come from resampled groups. Where all sounds agree, resampling cannot show any doubt; there the
    interval is that of Clopper and Pearson for as many trials as groups.

    Raises:
        ValueError: where a class has no words, or the tagger lacks one of them.
    """

    full_state_update = False
    agrees: list[Tensor]
    labels: list[Tensor]
    groups: list[Tensor]

    def __init__(
        self,
        class_names: Sequence[str],
        classes: Sequence[str],
        words: Mapping[str, Sequence[str]] | None = None,
        num_resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.classes = list(classes)
        self.tags_of_classes = [_tags_of(name, list(class_names), words or {}) for name in classes]
        self.animal_tags = [list(class_names).index(ANY_ANIMAL)] if ANY_ANIMAL in class_names else []
        self.num_tags = len(class_names)
        self.num_resamples = num_resamples
        self.seed = seed
        for name in ("agrees", "labels", "groups"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, labels: Tensor, groups: Sequence[str]) -> None:
        """Add scores (batch, tags) of sounds with labels (batch,), cut from the recordings `groups`, one name each."""
        if scores.ndim != 2 or scores.shape[1] != self.num_tags or not len(scores) == len(labels) == len(groups):
            found = f"{tuple(scores.shape)}, {len(labels)} labels and {len(groups)} groups"
            raise ValueError(
                f"Expected scores (sounds, {self.num_tags}), a label and a group for each sound, found {found}."
            )
        labels = labels.to(scores.device)
        of_classes = torch.stack([scores[:, tags].amax(dim=1) for tags in self.tags_of_classes], dim=1)
        own = of_classes.gather(1, labels[:, None])[:, 0]
        animal = scores[:, self.animal_tags].amax(dim=1) if self.animal_tags else own
        is_heard = torch.maximum(own, animal) > HEARD_ABOVE
        self.agrees.append(torch.stack([of_classes.argmax(dim=1) == labels, own > HEARD_ABOVE, is_heard], dim=1))
        self.labels.append(labels)
        self.groups.append(group_numbers(groups).to(scores.device))

    def compute(self) -> dict[str, Estimate]:
        """The shares over everything added since the last reset.

        Raises:
            ValueError: where nothing was added.
        """
        if not len(self.labels):
            raise ValueError("Expected tagged sounds, found none.")
        labels, groups = (dim_zero_cat(state).cpu().numpy() for state in (self.labels, self.groups))
        rng = np.random.default_rng(self.seed)
        figures = {}
        columns = dim_zero_cat(self.agrees).cpu().double().numpy().T
        for name, agrees in zip(("forced_choice", "named", "heard"), columns, strict=True):
            figures[name] = self._share(agrees, groups, rng)
            for label in np.unique(labels):
                chosen = labels == label
                figures[f"{name}/{self.classes[label]}"] = self._share(agrees[chosen], groups[chosen], rng)
        return figures

    def _share(self, agrees: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> Estimate:
        estimate = weighted_mean_estimate(agrees, groups, self.num_resamples, rng)
        doubt = 1 - 0.025 ** (1 / len(np.unique(groups)))
        if estimate.value == 1.0:
            estimate.low = 1 - doubt
        elif estimate.value == 0.0:
            estimate.high = doubt
        return estimate


def _tags_of(name: str, class_names: list[str], words: Mapping[str, Sequence[str]]) -> list[int]:
    """Positions among the tagger's classes of those that are like a class."""
    chosen = words.get(name) or WORDS.get(name.lower()) or [tag for tag in class_names if tag.lower() == name.lower()]
    if not chosen:
        raise ValueError(f"The tagger has no class '{name}'; name the ones that are like it in `words`.")
    unknown = [word for word in chosen if word not in class_names]
    if unknown:
        raise ValueError(f"The words of class '{name}' should be classes of the tagger, and {unknown} are not.")
    return [class_names.index(word) for word in chosen]
