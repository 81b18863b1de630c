"""Learning which codes follow which: the top prior and the bottom prior."""

from abc import abstractmethod
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
from pipelines.outputs import MediaPrediction
from runtime.checkpoint import load


class Prior(OneNetwork):
    """Training of a `CodePrior` by cross-entropy per code; what top and bottom share.

    Args:
        network: the prior; its class count, rows, columns and codes must be those of the data and of the VQ-VAE.
        sampling: how codes are drawn for pictures and predictions.
        codec: checkpoint of the VQ-VAE that made the codes. It is needed for pictures and predictions only, and is no
            part of the prior's own checkpoints.
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
        """Load the codec, and check that its codes are those of the data and of the network.

        Raises:
            FileNotFoundError: if there is no such checkpoint; the message says which command makes it.
            ValueError: naming both shapes, numbers of codes or fingerprints, if they differ.
        """
        super().setup(stage)
        if self.codec_path is not None and getattr(self.trainer, "datamodule", None) is not None:
            self._codec = load(self.codec_path, config="vqvae.yaml").codec
            self._check_codes(self._codec)

    @property
    def codec(self) -> Codec:
        """The way from codes to sound, on the device of this module.

        Raises:
            ValueError: if the constructor was given none, or `setup` has not been called.
        """
        if self._codec is None:
            raise ValueError(f"The {self.level} prior has no codec to decode with: give it the checkpoint of a VQ-VAE.")
        self._codec = self._codec.to(self.device)
        return self._codec

    def _check_codes(self, codec: Codec) -> None:
        if (books := codec.fingerprint()) != self.facts.get("codebooks", books):
            raise ValueError(
                f"The codes are of the codebooks {self.facts['codebooks']}, and {self.codec_path} has {books}."
            )
        wanted = getattr(codec.geometry, f"{self.level}_shape"), codec.network.num_codes
        found = (self.network.num_rows, self.network.num_columns), self.network.num_codes
        if wanted != found:
            raise ValueError(
                f"The {self.level} prior is made for grids of {found[0]} (num_rows, num_columns) and {found[1]} codes, "
                f"and the VQ-VAE gives grids of {wanted[0]} and {wanted[1]} codes."
            )
        if (context := self.network.top_context) is not None:
            wanted = codec.geometry.top_stride // codec.geometry.bottom_stride, codec.network.num_codes
            found = context.scale, context.embedding.num_embeddings
            if wanted != found:
                raise ValueError(
                    f"(scale, num_codes) of the top context is {found} in the {self.level} prior, and the VQ-VAE "
                    f"needs {wanted}."
                )

    @abstractmethod
    def sequences(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Flattened codes that are modelled, and the top codes that they are given, or None."""

    def time_sampling(self) -> dict[str, float]:
        """Seconds of a code on a CPU, by `sampling.precision`."""
        return time_precisions(self.network)

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of one batch of code windows."""
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
        """Adds one batch of held-out codes."""
        codes, top_codes = self.sequences(batch)
        metrics["codes"].update(self.network(codes, batch["label"], top_codes), codes, batch["label"])

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """See `CodePerplexity`, with the classes' names in place of their numbers."""
        figures = {}
        for name, value in metrics["codes"].compute().items():
            figure, _, label = name.partition("/")
            figures[f"{figure}/{self.classes[int(label)]}" if label else figure] = value
        return figures


class TopPrior(Prior):
    """Top codes given the class.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.2.
    """

    title = "Top prior"
    level = "top"

    def sequences(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Top codes, without a condition."""
        return batch["top_codes"], None

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """New top codes of the classes of held-out sounds, beside the real ones."""
        network, codec, seeds = self.network, self.codec, batch["index"].tolist()
        top_codes = sample_codes(network, batch["label"], network.num_columns, seeds, self.sampling)
        real, sampled = codec.decode_coarsely(batch["top_codes"]), codec.decode_coarsely(top_codes)
        return [
            MediaPrediction(
                name=f"top_{self.classes[label]}_{index:04d}",
                label=self.classes[label],
                codes=unflatten_codes(top_codes[i], network.num_rows),
                pictures=[("real, top codes only", real[i, 0]), ("sampled, top codes only", sampled[i, 0])],
            )
            for i, (index, label) in enumerate(zip(seeds, batch["label"].tolist(), strict=True))
        ]


class BottomPrior(Prior):
    """Bottom codes given the class and the top codes.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.2.
    """

    title = "Bottom prior"
    level = "bottom"

    def sequences(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Bottom codes, given the top codes."""
        return batch["bottom_codes"], batch["top_codes"]

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """Sounds from new bottom codes under the top codes of held-out sounds, beside the reconstructions."""
        network, codec, seeds = self.network, self.codec, batch["index"].tolist()
        bottom_codes = sample_codes(
            network, batch["label"], network.num_columns, seeds, self.sampling, batch["top_codes"]
        )
        real = codec.decode(batch["top_codes"], batch["bottom_codes"])
        sampled = codec.decode(batch["top_codes"], bottom_codes)
        waveforms = codec.invert(sampled, seeds)
        return [
            MediaPrediction(
                name=f"bottom_{self.classes[label]}_{index:04d}",
                label=self.classes[label],
                waveform=waveforms[i],
                sample_rate_hz=codec.geometry.sample_rate_hz,
                pictures=[("real codes", real[i, 0]), ("sampled bottom codes", sampled[i, 0])],
            )
            for i, (index, label) in enumerate(zip(seeds, batch["label"].tolist(), strict=True))
        ]
