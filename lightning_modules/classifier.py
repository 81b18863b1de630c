"""Training of the classifier of photos."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from lightning_modules.one_network import OneNetwork
from networks import ResNet50
from pipelines.outputs import LabelPrediction
from runtime.tell import tell


class Classifier(OneNetwork):
    """Fine-tuning of a ResNet-50: first its new head alone, then all of it at a lower rate.

    Args:
        network: the classifier; its class count must be that of the data.
        weights: weights to start from: a torchvision name such as `IMAGENET1K_V2`, the path of a state dict, or null
            for random ones. They are loaded when a fit starts.
        frozen_epochs: epochs in which only the head learns and the batch norms keep their statistics; ignored with
            random weights.
        backbone_rate: learning rate of the backbone, as a fraction of the head's; ignored with random weights.
        label_smoothing: label smoothing of the cross-entropy.
        learning_rate, weight_decay, warmup_steps: see `OneNetwork`.
    """

    title = "ResNet-50"
    changeable = OneNetwork.changeable | {"weights", "frozen_epochs", "backbone_rate", "label_smoothing"}

    def __init__(
        self,
        network: ResNet50,
        weights: str | None = "IMAGENET1K_V2",
        frozen_epochs: int = 1,
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
        )
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
        batches = self.trainer.num_training_batches * self.frozen_epochs
        if 0 < self.trainer.max_steps <= batches // self.trainer.accumulate_grad_batches:
            tell(
                f"Only the head will learn: the {self.frozen_epochs} frozen epochs outlast the "
                f"{self.trainer.max_steps} steps of the fit. Lower --model.frozen_epochs, or raise --trainer.max_steps."
            )

    @property
    def is_frozen(self) -> bool:
        """Whether only the head learns in this epoch."""
        return self.current_epoch < self.frozen_epochs

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Keeps the pretrained statistics of a frozen backbone's batch norms."""
        super().on_train_batch_start(batch, batch_idx)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(not self.is_frozen)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Drops the gradients of a frozen backbone, so that the optimiser skips it.

        Without `requires_grad`, as distributed training waits for the gradients of all parameters.
        """
        if self.is_frozen:
            for parameter in set(self.network.parameters()) - set(self.network.head_parameters()):
                parameter.grad = None

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy and accuracy of a batch of photos."""
        logits = self.network(batch["image"]).float()
        loss = F.cross_entropy(logits, batch["label"], label_smoothing=self.label_smoothing)
        return loss, {"accuracy": (logits.argmax(1) == batch["label"]).float().mean()}

    def example_batch(self, num_samples: int) -> dict[str, Tensor]:
        """Photos of noise, all of the first class."""
        size = self.facts.get("image_size", 224)
        return {"image": torch.rand(num_samples, 3, size, size), "label": torch.zeros(num_samples, dtype=torch.long)}

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds a batch of held-out photos."""
        logits = self.network(batch["image"]).float()
        metrics["loss"].update(F.cross_entropy(logits, batch["label"]), weight=len(logits))
        for name in ("accuracy", "f1", "confusion"):
            metrics[name].update(logits, batch["label"])

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """Loss, accuracy and the F1 score of each class; keeps the confusion matrix for its picture."""
        self.confusion_matrix = metrics["confusion"].compute().cpu()
        f1 = {f"f1/{name}": value for name, value in zip(self.classes, metrics["f1"].compute(), strict=True)}
        return {"loss": metrics["loss"].compute(), "accuracy": metrics["accuracy"].compute()} | f1

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[LabelPrediction]:
        """The probabilities of the classes of each photo."""
        probabilities = self.network(batch["image"]).float().softmax(dim=1).tolist()
        return [
            LabelPrediction(path, dict(zip(self.classes, row, strict=True)))
            for path, row in zip(batch["path"], probabilities, strict=True)
        ]
