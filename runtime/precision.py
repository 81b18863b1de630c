"""The number format that a device computes in."""

import timeit
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
CLEARLY_SLOWER = 1.5  # smaller factors are within the noise


@dataclass(frozen=True)
class Device:
    """Properties of a device that decide its precision.

    Attributes:
        kind: `cpu`, `cuda` or `mps`.
        name: name for messages.
        has_bf16: whether a GPU has bf16 in hardware; None for a CPU, which is measured instead.
    """

    kind: str
    name: str
    has_bf16: bool | None


def find_device(accelerator: str = "auto") -> Device:
    """Finds the device that Lightning's `accelerator` setting will use on this machine."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Device("cuda", torch.cuda.get_device_name(), has_bf16)
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return Device("mps", "Apple GPU", False)
    return Device("cpu", "CPU", None)


def choose_precision(asked: str | None, device: Device) -> tuple[str, str]:
    """Returns the precision that was asked for, or else the device's best, and a line for the user with the reason.

    Raises:
        ValueError: if the device lacks the precision that was asked for.
    """
    if asked is not None:
        wanted = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}.get(str(asked), str(asked))
        if wanted.startswith("bf16") and device.kind == "cpu":
            factor = time_product(torch.bfloat16) / time_product(torch.float32)
            slower = f", but its products take {factor:.0f} times as long as in fp32. Leave it out for fp32"
            return wanted, f"Precision {wanted} on CPU: as asked for{slower if factor >= CLEARLY_SLOWER else ''}."
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
    return "32-true", f"Precision 32-true on {device.name}: exact, and the safe choice. `doctor` times the others."


def time_precisions(kind: str) -> dict[str, float]:
    """Seconds of a matrix product on a device of this kind, by each precision that a fit there can have."""
    names = {"cpu": ("32-true", "bf16-mixed"), "mps": ("32-true", "16-mixed")}.get(kind, tuple(DTYPES))
    return {name: time_product(DTYPES[name], kind) for name in names}


def time_product(dtype: torch.dtype, kind: str = "cpu") -> float:
    """Seconds of a matrix product, the shortest of six; up to 50 ms each on a CPU without bf16 instructions."""
    size = 256 if kind == "cpu" else 4096
    matrix = torch.ones(size, size, dtype=dtype, device=kind)
    return time_shortest(lambda: float((matrix @ matrix)[0, 0]), 6)  # float waits for a GPU


def time_shortest(run: Callable[[], Any], num_runs: int) -> float:
    """Seconds of the shortest of some runs, which other programs disturb least."""
    return min(timeit.repeat(run, number=1, repeat=num_runs))


def name_fastest(work: str, times_s: dict[str, float], option: str) -> str:
    """Describes in one line the times of a piece of work by precision, and the option for the fastest."""
    shown = ", ".join(f"{1000 * seconds:.2g} ms in {name}" for name, seconds in times_s.items())
    return f"{work}: {shown}. The fastest here: {option} {min(times_s, key=times_s.__getitem__)}"
