"""`python -m benchmarks.perplexity`: measures the cost of faster sampling in perplexity of your own priors."""

import argparse
from collections.abc import Sequence

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

import cli
from benchmarks.measuring import quiet
from lightning_modules import load
from networks import CodePrior
from networks.prior.incremental import Precision, PriorStepper
from runtime.exit_codes import end_in_words

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")


def main(args: Sequence[str] | None = None) -> None:
    """Prints the perplexity of validation codes at each precision of `Sampling`."""
    parser = argparse.ArgumentParser("python -m benchmarks.perplexity", description=__doc__.partition(": ")[2])
    parser.add_argument("--root", default="data", help="folder with the sounds of the fits")
    parser.add_argument("--checkpoints", default="checkpoints", help="folder with vqvae/, top/ and bottom/")
    parser.add_argument("--config", help="overlay of the fits, such as demo.yaml")
    parser.add_argument("--num_windows", type=int, default=16, help="validation windows, in equal shares of classes")
    options = parser.parse_args(args)
    table = Table("prior", "precision", "perplexity", "more than at float32", box=SIMPLE)
    for level in ("top", "bottom"):
        prior = load(f"{options.checkpoints}/{level}/best.ckpt", config=f"{level}.yaml").network
        batch = held_out_codes(level, options)
        found = {}
        for precision in track(PRECISIONS, description=f"{level} prior", transient=True):
            found[precision] = perplexity(prior, batch, level, precision)
            more = found[precision] / found["float32"] - 1
            table.add_row(level, precision, f"{found[precision]:.4f}", f"{100 * more:+.3f} %")
    Console().print(table)


def held_out_codes(level: str, options: argparse.Namespace) -> dict[str, Tensor]:
    """Loads a batch of validation windows: `top_codes`, `label`, and for the bottom prior `bottom_codes`."""
    overlay = ["--config", options.config] if options.config else []
    data = ["--data.root", options.root, "--data.vqvae", f"{options.checkpoints}/vqvae/best.ckpt"]
    with quiet():
        parts = cli.main(["--config", f"{level}.yaml", *overlay, *data, "--trainer.logger", "false"], run=False)
        parts.datamodule.setup("validate")
        examples = parts.datamodule.examples(parts.datamodule.val_set, options.num_windows)
        return torch.utils.data.default_collate(list(examples))


@torch.no_grad()
def perplexity(prior: CodePrior, batch: dict[str, Tensor], level: str, precision: Precision) -> float:
    """Computes the perplexity of a batch's codes for a prior in evaluation mode, code by code as in sampling."""
    codes = batch[f"{level}_codes"]
    context = prior.context(batch["top_codes"] if level == "bottom" else None)
    stepper = PriorStepper(prior, batch["label"], precision)
    logits = [
        stepper.step(codes[:, i - 1] if i else None, None if context is None else context[:, i])
        for i in range(codes.shape[1])
    ]
    return F.cross_entropy(torch.stack(logits, dim=1).flatten(0, 1), codes.flatten()).exp().item()


if __name__ == "__main__":
    end_in_words(main)
