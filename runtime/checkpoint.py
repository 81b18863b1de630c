"""Finding, reading and identifying checkpoints."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.described import build
from runtime.program import PROGRAM

CHECKPOINT_KEY = "video2audio"
CHANGEABLE = {
    "dropout",
    "bottom_dropout",
    "activation_checkpointing",
    "decay",
    "revive_below",
}  # leave the meaning of weights alone


def load(path: str | Path, config: str | None = None) -> Any:
    """Any trained system from its checkpoint file alone, on the CPU and in evaluation mode.

    Args:
        path: a file that a fit has written.
        config: the config whose fit makes this file, for the message where it is missing.

    Raises:
        FileNotFoundError: where the file is missing; the message says which command makes it.
        ValueError: where the file is damaged or not of this project.
    """
    checkpoint = read_checkpoint(path, config)
    stored = checkpoint[CHECKPOINT_KEY]
    try:
        system = build(stored["system"])
        system.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not fit this version of the project: {error}") from error
    system.facts = stored["facts"]
    return system.eval().requires_grad_(False)


def read_checkpoint(path: str | Path, config: str | None = None) -> dict[str, Any]:
    """The content of a checkpoint of this project; raises as `load` does."""
    if not Path(path).is_file():
        command = f" Make it with: {PROGRAM} fit --config {config}" if config else ""
        raise FileNotFoundError(f"There is no checkpoint {path}.{command}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise ValueError(f"The checkpoint {path} cannot be read; it is damaged or no checkpoint: {reason}.") from error
    if not isinstance(checkpoint, dict) or CHECKPOINT_KEY not in checkpoint:
        raise ValueError(f"{path} was not written by this project: it does not say what it was made from.")
    return checkpoint


def fingerprint(tensors: dict[str, Tensor]) -> str:
    """A short name for the exact values of some tensors: the same values, the same name, on every machine."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def check_fit(systems: dict[str, Any], paths: dict[str, str]) -> None:
    """Check that four trained systems belong together.

    Args:
        systems: `vqvae`, `top`, `bottom` and `classifier`.
        paths: of their checkpoints, for the message.

    Raises:
        ValueError: naming both files and both values, where the class lists or the geometries differ, or where a prior
            was trained on the codes of another VQ-VAE.
    """
    vqvae = systems["vqvae"]
    codebooks = vqvae.codec.fingerprint()
    expected = {"classes": vqvae.facts["classes"], "geometry": vqvae.geometry.as_dict(), "codebooks": codebooks}
    needed = {"top": list(expected), "bottom": list(expected), "classifier": ["classes"]}
    for name, facts in needed.items():
        for fact in facts:
            found = systems[name].facts.get(fact)
            if found != expected[fact]:
                raise ValueError(
                    f"Two checkpoints do not fit together: {fact} is {expected[fact]} in {paths['vqvae']}, and {found} "
                    f"in {paths[name]}. Fit the latter anew: {PROGRAM} fit --fresh --config {name}.yaml"
                )


def check_equal(name: str, in_checkpoint: Any, here: Any) -> None:
    """Raise a ValueError which names the first value that differs, as it is in the checkpoint and as it is here."""
    if isinstance(in_checkpoint, dict) and isinstance(here, dict):
        for key in sorted((in_checkpoint.keys() | here.keys()) - CHANGEABLE):
            check_equal(f"{name}.{key}", in_checkpoint.get(key), here.get(key))
    elif in_checkpoint != here:
        why = (
            " The VQ-VAE has been fitted again since, and its codes mean something else." if name == "codebooks" else ""
        )
        raise ValueError(
            f"The checkpoint does not fit: {name} is {in_checkpoint!r} in it, and {here!r} here.{why} Change it "
            "back, or begin this fit anew: the same command with --fresh."
        )
