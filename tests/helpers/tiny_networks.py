"""Networks small enough for tests, with weights strong enough that every input is seen in the output."""

from torch import Generator, nn

from networks import VQVAE2, CodePrior, TopContext


def tiny_prior(**overrides) -> CodePrior:
    """A prior for 4 × 4 codes of 11, in evaluation mode."""
    options = {
        "num_classes": 3,
        "num_rows": 4,
        "num_columns": 4,
        "num_codes": 11,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "feedforward_width": 32,
    }
    return strengthened(CodePrior(**options | overrides)).eval()


def tiny_top_context(**overrides) -> TopContext:
    options = {"num_codes": 7, "width": 16, "scale": 2, "num_layers": 2, "kernel_size": 3, "rank": 8}
    return strengthened(TopContext(**options | overrides))


def tiny_vqvae(**overrides) -> VQVAE2:
    options = {"width": 8, "num_residual_blocks": 1, "residual_width": 4, "embedding_dim": 4, "num_codes": 16}
    return VQVAE2(**options | overrides)


def strengthened(network: nn.Module) -> nn.Module:
    """Weights as trained ones may be: at their small initial values nothing has much effect on anything."""
    generator = Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        is_norm = "norm" in name and name.endswith("weight")
        nn.init.normal_(parameter, mean=1.0 if is_norm else 0.0, std=0.3, generator=generator)
    return network
