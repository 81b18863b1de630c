import pytest
import torch
from torch.nn import functional as F

from benchmarks import perplexity as command
from tests.conftest import TINY, working_folder
from tests.helpers.tiny_networks import tiny_prior, tiny_top_context


@torch.no_grad()
@pytest.mark.parametrize("level", ["top", "bottom"])
def test_it_is_the_perplexity_of_a_full_forward_pass(level):
    generator = torch.Generator().manual_seed(0)
    prior = tiny_prior(top_context=tiny_top_context() if level == "bottom" else None)
    batch = {"label": torch.tensor([0, 2]), f"{level}_codes": torch.randint(11, (2, 16), generator=generator)}
    if level == "bottom":
        batch["top_codes"] = torch.randint(7, (2, 4), generator=generator)
    logits = prior(batch[f"{level}_codes"], batch["label"], batch.get("top_codes") if level == "bottom" else None)
    expected = F.cross_entropy(logits.flatten(0, 1), batch[f"{level}_codes"].flatten()).exp().item()
    assert command.perplexity(prior, batch, level, "float32") == pytest.approx(expected, rel=1e-4)
    assert command.perplexity(prior, batch, level, "int8") == pytest.approx(expected, rel=0.1)


def test_the_command_measures_fitted_priors(chain, capsys, monkeypatch):
    monkeypatch.setattr(command, "cli", _TinyCLI)
    with working_folder(chain):
        command.main(["--num_windows", "2"])
    printed = capsys.readouterr().out
    assert printed.count("float32") >= 2
    assert printed.count("+0.000 %") >= 2
    assert printed.count("int8") == 2


class _TinyCLI:
    @staticmethod
    def main(args, run):
        import cli

        system = args[1].removesuffix(".yaml")
        return cli.main(["--config", f"{system}.yaml", "--config", str(TINY / f"{system}.yaml"), *args[2:]], run=run)
