"""An early check that this torch has code for the chosen card."""

import re

import torch

from runtime.precision import find_device
from runtime.program import PROGRAM


def check_card(accelerator: str = "auto") -> None:
    """Raises ValueError if Lightning's `accelerator` setting needs a card that is absent or unusable for torch."""
    card = find_device(accelerator)
    if accelerator in ("gpu", "cuda", "mps") and card.kind == "cpu":
        raise ValueError(
            f"--trainer.accelerator {accelerator} was asked for, and torch {torch.__version__} finds no such device "
            f"here. Leave it out to use what there is; `{PROGRAM} doctor` shows it."
        )
    if card.kind == "cuda":
        check_kernels(card.name, torch.cuda.get_device_capability(), torch.cuda.get_arch_list())


def check_kernels(name: str, capability: tuple[int, int], arch_list: list[str]) -> None:
    """Raises ValueError if torch finds a card, but the card's first computation would fail.

    Args:
        name: name of the card.
        capability: its compute capability (major, minor).
        arch_list: architectures of this torch, by `torch.cuda.get_arch_list()`. Binary code (`sm_75`) runs on cards of
            the same major and an equal or higher minor, intermediate code (`compute_75`) also on all later ones, and
            either with the suffix `a` on this capability only.
    """
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", arch) for arch in arch_list]
    archs = [(match[1], (int(match[2]), int(match[3])), match[4]) for match in found if match]
    if not archs or any(_runs(*arch, capability) for arch in archs):  # AMD's have other names
        return
    sm = f"sm_{capability[0]}{capability[1]}"
    if capability > max(version for _, version, _ in archs):
        remedy = "Install a newer torch"
    else:
        remedy = "Choose another card (on Kaggle 'T4 x2')"
        if (5, 0) <= capability <= (7, 0):
            remedy += f", or install a torch wheel for CUDA 12.6 (torch 2.14 at most), which still has {sm}"
    raise ValueError(
        f"{name} cannot be used: it is {sm}, and torch {torch.__version__} has code for {', '.join(arch_list)} only. "
        f"{remedy}; or compute on the CPU: --trainer.accelerator cpu"
    )


def _runs(kind: str, version: tuple[int, int], suffix: str, capability: tuple[int, int]) -> bool:
    if suffix == "a":
        return capability == version
    if kind == "compute" and not suffix:
        return capability >= version
    return capability[0] == version[0] and capability[1] >= version[1]
