"""Which number format a device should compute in."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Device:
    """What the choice of a precision depends on.

    Attributes:
        kind: `cpu`, `cuda` or `mps`.
        name: as people call it.
        has_bf16: whether the hardware computes in bf16; emulation does not count.
    """

    kind: str
    name: str
    has_bf16: bool


def find_device(accelerator: str = "auto") -> Device:
    """The device that Lightning's `accelerator` setting will use on this machine."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device("cuda", torch.cuda.get_device_name(), has_bf16)
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return Device("mps", "Apple GPU", False)
    return Device("cpu", "CPU", True)


def choose_precision(asked: str | None, device: Device) -> tuple[str, str]:
    """(precision for Lightning's Trainer, one line that says which and why).

    Args:
        asked: what the user asked for; None leaves the choice to the device.
        device: where the computing is done.

    Raises:
        ValueError: where the device cannot do what was asked for.
    """
    if asked is not None:
        asked = str(asked)
        wanted = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}.get(asked, asked)
        if wanted.startswith("bf16") and not device.has_bf16:
            raise ValueError(
                f"precision {asked} was asked for, and {device.name} has no bf16 in hardware. "
                "Use --trainer.precision 16-mixed, or leave it out: the best one is chosen."
            )
        if wanted.startswith("16") and device.kind == "cpu":
            raise ValueError(
                f"precision {asked} was asked for, and a CPU trains in fp32 or bf16 only. "
                "Use --trainer.precision bf16-mixed, or leave it out for fp32."
            )
        return wanted, f"Precision {wanted} on {device.name}: as asked for."
    if device.kind == "cuda" and device.has_bf16:
        return "bf16-mixed", f"Precision bf16-mixed on {device.name}: it computes in bf16, which needs no loss scaling."
    if device.kind == "cuda":
        return "16-mixed", f"Precision 16-mixed on {device.name}: it has no bf16 in hardware."
    return "32-true", f"Precision 32-true on {device.name}: exact, and nothing is gained there by default."
