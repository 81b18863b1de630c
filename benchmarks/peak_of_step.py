"""The peak memory of one training step, told by the process that does it: `python -m benchmarks.peak_of_step TASK`."""

import json
import sys
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.gpt import GPT, gpt_loss
from networks import build
from runtime.memory import peak_process_bytes


def peak_bytes(batch_size: int, device: str, prior: dict[str, Any] | None = None, gpt: Any = None) -> int:
    """Memory above that of the process before the model was made.

    Args:
        batch_size: sequences in the batch.
        device: a CUDA device, whose allocator is asked, under fp16 autocast; or a CPU, for the memory of the process.
        prior: description of a bottom prior.
        gpt: in its place, arguments of a `GPT`.
    """
    before = _peak(device)
    module = (build(prior) if gpt is None else GPT(**gpt)).to(device)
    length = (module.sequence_length if gpt is None else module.num_positions) - 1
    codes = torch.randint(module.num_codes, (batch_size, length), device=device)
    labels = torch.zeros(batch_size, dtype=torch.long, device=device)
    optimizer = torch.optim.AdamW(module.parameters())
    with torch.autocast("cuda", torch.float16, enabled=device.startswith("cuda")):
        if gpt is None:
            top_codes = codes[:, : length // module.top_context.scale**2]
            logits = module(codes, labels, top_codes)
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
