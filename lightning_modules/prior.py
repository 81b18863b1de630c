"""Training of the two priors over codes."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.one_network import OneNetwork
from metrics import CodePerplexity
from networks import CodePrior, Sampling, sample_codes
from networks.codec.code_grid import unflatten_codes
from networks.codec.codec import Codec
from networks.prior.incremental import time_precisions
from pipelines.outputs import MediaPrediction, split_batch
from runtime.checkpoint import load


class Prior(OneNetwork):
    """Trains a `CodePrior` by the cross-entropy of each code.

    Args:
        network: the prior, made for the classes of the data and for the grid and the codes of the VQ-VAE.
        sampling: how codes are drawn for pictures and predictions.
        codec: checkpoint of the VQ-VAE that made the codes. Only pictures and predictions need it, and it is no part
            of the prior's checkpoints.
        learning_rate, weight_decay, warmup_steps: see `OneNetwork`.
    """

    changeable = OneNetwork.changeable | {"sampling", "codec"}

    level: str

    def __init__(
        self,
        network: CodePrior,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        learning_rate: float = 3e-4,
        weight_decay: float = 0.01,
        warmup_steps: int = 200,
        codec: str | None = None,
    ) -> None:
        super().__init__(network, learning_rate, weight_decay, warmup_steps)
        self.sampling = sampling
        self.codec_path = codec
        self._codec: Codec | None = None
        self.set_metrics(codes=CodePerplexity(network.num_codes, network.num_classes))

    def setup(self, stage: str) -> None:
        """Loads the codec, and checks that its codes are those of the data and of the network.

        Raises:
            FileNotFoundError: if the checkpoint is missing; the message says which command makes it.
            ValueError: as `OneNetwork.setup`, or naming both values if codebooks, grids or numbers of codes differ.
        """
        super().setup(stage)
        if self.codec_path is not None and getattr(self.trainer, "datamodule", None) is not None:
            self._codec = load(self.codec_path, config="vqvae.yaml").codec
            self._check_codes(self._codec)

    @property
    def codec(self) -> Codec:
        """Decoder of codes into sound, on the device of this module.

        Raises:
            ValueError: if the constructor was given none, or before `setup`.
        """
        if self._codec is None:
            raise ValueError(f"The {self.level} prior has no codec to decode with: give it the checkpoint of a VQ-VAE.")
        self._codec = self._codec.to(self.device)
        return self._codec

    def _check_codes(self, codec: Codec) -> None:
        network, geometry, codebooks = self.network, codec.geometry, codec.fingerprint()
        num_codes, scale = codec.network.num_codes, geometry.top_stride // geometry.bottom_stride
        shape = network.num_rows, network.num_columns
        pairs: dict[str, tuple[Any, Any]] = {
            "the fingerprint of the codebooks": (self.facts.get("codebooks", codebooks), codebooks),
            "(num_rows, num_columns)": (shape, getattr(geometry, f"{self.level}_shape")),
            "num_codes": (network.num_codes, num_codes),
        }
        if (context := network.top_context) is not None:
            found = context.scale, context.embedding.num_embeddings
            pairs["(scale, num_codes) of the top context"] = (found, (scale, num_codes))
        for name, (found, expected) in pairs.items():
            if found != expected:
                raise ValueError(
                    f"The {self.level} prior or its data does not fit the VQ-VAE {self.codec_path}: {name} is {found}, "
                    f"expected {expected}. Change it, or pass the VQ-VAE that made the codes: --model.codec."
                )

    def sequences(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Flattened codes to model, and the top codes that condition them, or None."""
        return batch[f"{self.level}_codes"], None if self.network.top_context is None else batch["top_codes"]

    def time_sampling(self) -> dict[str, float]:
        """Seconds for each code on a CPU, by `sampling.precision`."""
        return time_precisions(self.network)

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy and perplexity of a batch of code windows."""
        codes, top_codes = self.sequences(batch)
        logits = self.network(codes, batch["label"], top_codes)
        loss = F.cross_entropy(logits.float().transpose(1, 2), codes)
        return loss, {"perplexity": loss.detach().exp()}

    def example_batch(self, num_samples: int) -> dict[str, Tensor]:
        """Random codes, all of the first class."""
        network = self.network
        length = network.num_rows * network.num_columns
        batch = {f"{self.level}_codes": torch.randint(network.num_codes, (num_samples, length))}
        if (context := network.top_context) is not None:
            batch["top_codes"] = torch.randint(network.num_codes, (num_samples, length // context.scale**2))
        return batch | {"label": torch.zeros(num_samples, dtype=torch.long)}

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds a batch of held-out codes."""
        codes, top_codes = self.sequences(batch)
        metrics["codes"].update(self.network(codes, batch["label"], top_codes), codes, batch["label"])

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """The figures of `CodePerplexity`, with the names of the classes in place of their numbers."""
        figures = {}
        for name, value in metrics["codes"].compute().items():
            figure, _, label = name.partition("/")
            figures[f"{figure}/{self.classes[int(label)]}" if label else figure] = value
        return figures


class TopPrior(Prior):
    """Trains the prior of the top codes, conditioned on the class.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.2.
    """

    title = "Top prior"
    level = "top"

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """New top codes for the classes of held-out sounds, beside the real ones."""
        network, codec, seeds = self.network, self.codec, batch["index"].tolist()
        codes = sample_codes(network, batch["label"], network.num_columns, seeds, self.sampling)
        pictures = {"real, top codes only": batch["top_codes"], "sampled, top codes only": codes}
        pictures = {title: codec.decode_coarsely(shown) for title, shown in pictures.items()}
        return split_batch("top", batch, self.classes, pictures, codes=unflatten_codes(codes, network.num_rows))


class BottomPrior(Prior):
    """Trains the prior of the bottom codes, conditioned on the class and the top codes.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.2.
    """

    title = "Bottom prior"
    level = "bottom"

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """Sounds from new bottom codes for the top codes of held-out sounds, beside the reconstructions."""
        network, codec, seeds, top_codes = self.network, self.codec, batch["index"].tolist(), batch["top_codes"]
        codes = sample_codes(network, batch["label"], network.num_columns, seeds, self.sampling, top_codes)
        pictures = {"real codes": batch["bottom_codes"], "sampled bottom codes": codes}
        pictures = {title: codec.decode(top_codes, shown) for title, shown in pictures.items()}
        waveforms = codec.invert(pictures["sampled bottom codes"], seeds)
        return split_batch("bottom", batch, self.classes, pictures, waveforms, codec.geometry.sample_rate_hz)
