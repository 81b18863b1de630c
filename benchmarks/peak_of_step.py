"""`python -m benchmarks.peak_of_step TASK`: measures the peak memory of one training step in this process."""

import json
import sys
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.gpt import GPT, gpt_loss
from networks import build
from runtime.memory import peak_process_bytes


def peak_bytes(batch_size: int, device: str, prior: dict[str, Any] | None = None, gpt: Any = None) -> int:
    """Peak memory above that of the process before the model was built.

    Args:
        batch_size: sequences in the batch.
        device: CUDA device, measured by its allocator under fp16 autocast, or CPU, measured by the process.
        prior: description of a bottom prior.
        gpt: arguments of a `GPT`, in place of a prior.
    """
    before = _peak(device)
    module = (build(prior) if gpt is None else GPT(**gpt)).to(device)
    length = (module.sequence_length if gpt is None else module.num_positions) - 1
    codes = torch.randint(module.num_codes, (batch_size, length), device=device)
    labels = torch.zeros(batch_size, dtype=torch.long, device=device)
    optimizer = torch.optim.AdamW(module.parameters())
    with torch.autocast("cuda", torch.float16, enabled=device.startswith("cuda")):
        if gpt is None:
            logits = module(codes, labels, codes[:, : length // module.top_context.scale**2])
            loss = F.cross_entropy(logits.float().transpose(1, 2), codes)
        else:
            loss = gpt_loss(module, codes, labels)
    loss.backward()
    optimizer.step()
    return _peak(device) - before


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else peak_process_bytes()


if __name__ == "__main__":
    print(json.dumps(peak_bytes(**json.loads(sys.argv[1]))))
