"""Whether the four systems behind a video's sound belong together, and know the classes that are asked for."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from runtime.program import PROGRAM


def check_compatibility(systems: dict[str, Any], paths: dict[str, str]) -> None:
    """Checks that `vqvae`, `top`, `bottom` and `classifier` belong together; the message names their paths.

    Raises:
        ValueError: if the classes or the geometries differ, or if a prior was trained on the codes of another VQ-VAE.
    """
    vqvae = systems["vqvae"]
    codebooks = vqvae.codec.fingerprint()
    expected = {"classes": vqvae.facts["classes"], "geometry": vqvae.geometry.as_dict(), "codebooks": codebooks}
    for name in ("top", "bottom", "classifier"):
        for fact in ["classes"] if name == "classifier" else expected:
            found = systems[name].facts.get(fact)
            if found != expected[fact]:
                raise ValueError(
                    f"Two checkpoints do not fit together: {fact} is {expected[fact]} in {paths['vqvae']}, and {found} "
                    f"in {paths[name]}. Fit the latter again: {PROGRAM} fit --fresh --config {name}.yaml"
                )


def find_classes(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """The known names of the classes that are asked for, which may be written in another Unicode form.

    Raises:
        ValueError: if one of them is not known.
    """
    names = {unicodedata.normalize("NFC", name): name for name in known}
    if unknown := sorted(name for name in asked if unicodedata.normalize("NFC", name) not in names):
        raise ValueError(f"The models do not know {', '.join(unknown)}; they know {', '.join(known)}.")
    return [names[unicodedata.normalize("NFC", name)] for name in asked]
