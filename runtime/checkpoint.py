"""Finding, reading and identifying checkpoints."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.described import build, find_class, is_description
from runtime.program import PROGRAM

CHECKPOINT_KEY = "video2audio"


def load(path: str | Path, config: str | None = None) -> Any:
    """Loads any trained system from its checkpoint file alone, on the CPU and in evaluation mode.

    Args:
        path: checkpoint of a fit.
        config: config of that fit, for the message if the file is missing.

    Raises:
        FileNotFoundError: if the file is missing; the message says which command makes it.
        ValueError: if the file is damaged or not of this project.
    """
    checkpoint = read_checkpoint(path, config)
    stored = checkpoint[CHECKPOINT_KEY]
    try:
        system = build(stored["system"])
        restore_frozen(system, checkpoint["state_dict"], stored.get("frozen", {}))
        system.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not fit this version of the project: {error}") from error
    system.facts = stored["facts"]
    return system.eval().requires_grad_(False)


def read_checkpoint(path: str | Path, config: str | None = None) -> dict[str, Any]:
    """Reads a checkpoint of this project; raises as `load` does."""
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
    """Hashes names and exact values of tensors; the result is the same on every machine."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def leave_out_frozen(system: Any, state_dict: dict[str, Tensor]) -> dict[str, str]:
    """Removes the weights of a system's `frozen_parts` from its state; returns the fingerprint of each part."""
    for name in system.frozen_parts:
        for key in [key for key in state_dict if key.startswith(f"{name}.")]:
            del state_dict[key]
    return {name: fingerprint(getattr(system, name).state_dict()) for name in system.frozen_parts}


def restore_frozen(system: Any, state_dict: dict[str, Tensor], fingerprints: dict[str, str]) -> None:
    """Adds the weights of frozen parts, as the constructor made them, to a stored state that lacks them.

    Raises:
        ValueError: if a part has other weights than when the checkpoint was written.
    """
    for name in system.frozen_parts:
        tensors = getattr(system, name).state_dict()
        if (here := fingerprint(tensors)) != fingerprints.get(name):
            raise ValueError(
                f"The frozen weights of {name} are {fingerprints.get(name)} in the checkpoint, and {here} here. They "
                "are not stored in it: use the same file of weights as for the fit."
            )
        state_dict.update({f"{name}.{key}": value for key, value in tensors.items()})


def check_equal(name: str, in_checkpoint: Any, here: Any) -> None:
    """Compares plain data, but not the arguments of descriptions that their class declares changeable.

    Raises:
        ValueError: with the first value that differs, by its name inside `name`, which is empty for a system.
    """
    if is_description(in_checkpoint) and is_description(here):
        check_equal(f"the class of {name or 'the system'}", in_checkpoint["class_path"], here["class_path"])
        changeable: frozenset[str] = getattr(find_class(here["class_path"]), "changeable", frozenset())
        in_checkpoint, here = (
            {key: value for key, value in description["init_args"].items() if key not in changeable}
            for description in (in_checkpoint, here)
        )
    if isinstance(in_checkpoint, dict) and isinstance(here, dict):
        for key in sorted(in_checkpoint.keys() | here.keys()):
            check_equal(f"{name}.{key}".lstrip("."), in_checkpoint.get(key), here.get(key))
    elif in_checkpoint != here:
        why = " The VQ-VAE has been fitted again since, so its codes have changed." if name == "codebooks" else ""
        raise ValueError(
            f"The checkpoint does not fit: {name} is {in_checkpoint!r} in it, and {here!r} here.{why} Change it "
            "back, or start this fit from scratch: the same command with --fresh."
        )
