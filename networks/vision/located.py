"""The result of looking at pictures."""

from typing import NamedTuple

from torch import Tensor


class Located(NamedTuple):
    """The classes in a batch of pictures, and their places.

    Attributes:
        logits: (batch, classes).
        maps: (batch, classes, rows, columns) class activation maps. The mean of a map is its logit less the head's
            bias.
        familiarity: (batch,) similarity to the training photos in [-1, 1]; 1 if the classifier does not measure it.
    """

    logits: Tensor
    maps: Tensor
    familiarity: Tensor
