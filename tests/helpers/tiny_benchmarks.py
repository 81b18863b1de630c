"""Sizes at which every part of the benchmarks takes seconds."""

from typing import Any

import torch

from benchmarks.gpt import GPT
from benchmarks.measuring import Plan
from tests.conftest import TINY
from tests.helpers.tiny_networks import strengthened


def tiny_plan(**options: Any) -> Plan:
    return Plan(torch.device("cpu"), **{"overlay": TINY, "enough_s": 0.0, "num_repetitions": 2} | options)


def tiny_gpt(**options: Any) -> GPT:
    """11 codes, 3 classes, a class token and 16 codes, in evaluation mode."""
    sizes = {"num_codes": 11, "num_classes": 3, "num_positions": 17, "width": 16, "num_layers": 2, "num_heads": 2}
    gpt = GPT(**sizes | {"feedforward_width": 32, "dropout": 0.1} | options)
    return strengthened(gpt).eval()
