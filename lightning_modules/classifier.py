"""Training of the classifier of photos."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import CatMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score
from torchvision.ops import StochasticDepth

from lightning_modules.one_network import OneNetwork
from networks import ResNet50, TransferClassifier
from pipelines.outputs import LabelPrediction
from runtime.tell import tell


class Classifier(OneNetwork):
    """Fine-tuning of a pretrained network: first its new head alone, then all of it at a lower rate.

    At each validation a `TransferClassifier` also remembers the training photos, and chooses the familiarity from which
    a picture shows one of the classes.

    Args:
        network: the classifier; its class count must be that of the data.
        weights: weights to start from: a torchvision name such as `IMAGENET1K_V2`, `package` for those of
            EfficientNet-Lite0, the path of a state dict, or null for random ones. They are loaded when a fit starts.
        frozen_epochs: epochs in which only the head learns and the batch norms keep their statistics; null for all
            epochs. Ignored with random weights.
        backbone_rate: learning rate of the backbone, as a fraction of the head's; ignored with random weights.
        label_smoothing: label smoothing of the cross-entropy.
        learning_rate, weight_decay, warmup_steps: see `OneNetwork`.
    """

    title = "ResNet-50"
    changeable = OneNetwork.changeable | {"weights", "frozen_epochs", "backbone_rate", "label_smoothing"}

    def __init__(
        self,
        network: ResNet50 | TransferClassifier,
        weights: str | None = "IMAGENET1K_V2",
        frozen_epochs: int | None = 1,
        backbone_rate: float = 0.1,
        label_smoothing: float = 0.1,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 10,
    ) -> None:
        super().__init__(network, learning_rate, weight_decay, warmup_steps)
        self.weights = weights
        self.frozen_epochs = frozen_epochs if weights else 0
        self.backbone_rate = backbone_rate if weights else 1.0
        self.label_smoothing = label_smoothing
        num_classes = network.num_classes
        self.set_metrics(
            loss=MeanMetric(),
            accuracy=MulticlassAccuracy(num_classes, average="micro"),
            f1=MulticlassF1Score(num_classes, average=None),
            confusion=MulticlassConfusionMatrix(num_classes),
            known=CatMetric(),
            other=CatMetric(),
        )
        if self.frozen_epochs is None:
            for parameter in set(network.parameters()) - set(network.head_parameters()):
                parameter.requires_grad_(False)
        self.confusion_matrix: Tensor | None = None

    def on_fit_start(self) -> None:
        """Loads the pretrained weights, unless the fit is resumed: the checkpoint has them."""
        if self.weights and not self.trainer.ckpt_path:
            self.network.load_pretrained(self.weights)

    def optimizer_groups(self) -> list[dict[str, Any]]:
        """The head at the full learning rate, the backbone at its fraction of it."""
        head = set(self.network.head_parameters())
        return [
            group | {"params": [p for p in group["params"] if (p in head) == is_head], "lr": self.learning_rate * rate}
            for group in super().optimizer_groups()
            for is_head, rate in ((True, 1.0), (False, self.backbone_rate))
        ]

    def on_train_start(self) -> None:
        """Warns if the fit ends before the backbone learns."""
        super().on_train_start()
        batches = self.trainer.num_training_batches * (self.frozen_epochs or 0)
        if 0 < self.trainer.max_steps <= batches // self.trainer.accumulate_grad_batches:
            tell(
                f"Only the head will learn: the {self.frozen_epochs} frozen epochs outlast the "
                f"{self.trainer.max_steps} steps of the fit. Lower --model.frozen_epochs, or raise --trainer.max_steps."
            )

    @property
    def is_frozen(self) -> bool:
        """Whether only the head learns in this epoch."""
        return self.frozen_epochs is None or self.current_epoch < self.frozen_epochs

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Keeps the pretrained statistics of a frozen backbone's batch norms, and all of its layers."""
        super().on_train_batch_start(batch, batch_idx)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d | StochasticDepth):
                module.train(not self.is_frozen)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Drops the gradients of a frozen backbone, so that the optimiser skips it.

        Without `requires_grad`, as distributed training waits for the gradients of all parameters.
        """
        if self.is_frozen:
            for parameter in set(self.network.parameters()) - set(self.network.head_parameters()):
                parameter.grad = None

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy and accuracy of a batch of photos, or of their features."""
        if "features" in batch:
            logits = self.network.head(batch["features"]).float()
        else:
            logits = self.network(batch["image"]).float()
        loss = F.cross_entropy(logits, batch["label"], label_smoothing=self.label_smoothing)
        return loss, {"accuracy": (logits.argmax(1) == batch["label"]).float().mean()}

    def example_batch(self, num_samples: int) -> dict[str, Tensor]:
        """Photos of noise, or features of noise if the data module computes them; all of the first class."""
        label = torch.zeros(num_samples, dtype=torch.long)
        if num_features := self.facts.get("num_features"):
            return {"features": torch.rand(num_samples, num_features), "label": label}
        size = self.facts.get("image_size", 224)
        return {"image": torch.rand(num_samples, 3, size, size), "label": label}

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds a batch of held-out photos; those of something else count for the familiarity alone."""
        logits, familiarity = self._classify(batch)
        is_known = batch["label"] >= 0
        metrics["known"].update(familiarity[is_known])
        metrics["other"].update(familiarity[~is_known])
        if not is_known.any():
            return
        logits, labels = logits[is_known], batch["label"][is_known]
        metrics["loss"].update(F.cross_entropy(logits, labels), weight=len(logits))
        for name in ("accuracy", "f1", "confusion"):
            metrics[name].update(logits, labels)

    def _classify(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Logits (batch, classes) and familiarity (batch,)."""
        if not isinstance(self.network, TransferClassifier):
            logits = self.network(batch["image"]).float()
            return logits, logits.new_ones(len(logits))
        features = batch["features"] if "features" in batch else self.network.features(batch["image"])
        return self.network.head(features).float(), self.network.familiarity(features)

    def on_validation_epoch_start(self) -> None:
        """Remembers the training photos as the network of a fit sees them now."""
        if not self._learns_familiarity:
            return
        found = []
        with torch.inference_mode(False), torch.no_grad():  # the references are kept
            for batch in self.trainer.datamodule.reference_dataloader():
                batch = self.trainer.strategy.batch_to_device(batch)
                found.append(batch["features"] if "features" in batch else self.network.features(batch["image"]))
            self.network.familiarity.remember(torch.cat(found))

    def on_validation_epoch_end(self) -> None:
        """Chooses from which familiarity on a picture shows a class, and logs the figures."""
        if self._learns_familiarity:
            with torch.inference_mode(False):
                scores = (_all_values(self.held_out["val"][name]).clone() for name in ("known", "other"))
                self.network.familiarity.choose_threshold(*scores)
        super().on_validation_epoch_end()

    @property
    def _learns_familiarity(self) -> bool:
        is_possible = isinstance(self.network, TransferClassifier)
        return is_possible and self.trainer.state.fn == "fit" and hasattr(self.trainer.datamodule, "reference_set")

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """Loss, accuracy and the F1 score of each class; keeps the confusion matrix for its picture.

        With a `TransferClassifier` also the threshold of the familiarity, the share of photos of a class that reach it
        (`kept`), and the share of photos of something else that do not (`refused`).
        """
        self.confusion_matrix = metrics["confusion"].compute().cpu()
        f1 = {f"f1/{name}": value for name, value in zip(self.classes, metrics["f1"].compute(), strict=True)}
        figures = {"loss": metrics["loss"].compute(), "accuracy": metrics["accuracy"].compute()} | f1
        if isinstance(self.network, TransferClassifier):
            threshold = self.network.familiarity.threshold
            known, other = _all_values(metrics["known"]), _all_values(metrics["other"])
            figures |= {"threshold": threshold, "kept": (known >= threshold).float().mean()}
            if len(other):
                figures["refused"] = (other < threshold).float().mean()
        return figures

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[LabelPrediction]:
        """The probabilities of the classes of each photo, and whether it shows one of them."""
        logits, familiarity = self._classify(batch)
        threshold = None
        if isinstance(self.network, TransferClassifier):
            threshold = float(self.network.familiarity.threshold)
        return [
            LabelPrediction(path, dict(zip(self.classes, row, strict=True)), score, threshold)
            for path, row, score in zip(
                batch["path"], logits.softmax(dim=1).tolist(), familiarity.tolist(), strict=True
            )
        ]


def _all_values(metric: CatMetric) -> Tensor:
    values = metric.compute()
    return values.reshape(-1) if isinstance(values, Tensor) else torch.empty(0)
