"""Incremental computation of a prior, one code at a time, with a key/value cache of fixed size."""

import copy
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.prior.code_prior import CodePrior
from networks.prior.transformer import TransformerBlock
from runtime.precision import time_shortest

Precision = Literal["float32", "float16", "int8"]
NUM_WEIGHT_BLOCKS = 16


class PriorStepper:
    """Computes the logits of one code after the other, equal to those of `CodePrior.forward` but for rounding.

    Why not by the modules: for a single code, reading the weights and starting the operators takes most of the time.
    So the scale and shift of the norms are folded into the layers behind them, the rotation of queries and keys is one
    complex product, and the weights are laid out for products with few rows.

    The cache holds a training window, or the prior's `attention_columns`. In the second case the newest position
    replaces the oldest, and there is no end.

    Args:
        prior: the prior, in evaluation mode.
        labels: (batch,) classes.
        precision: precision of the weights on a CPU, see `Sampling`. On other devices autocast decides.

    Raises:
        ValueError: if this device has no such precision.
    """

    def __init__(self, prior: CodePrior, labels: Tensor, precision: Precision = "float32") -> None:
        check_precision(precision, labels.device)
        self.prior, self.labels = prior, labels
        transformer = prior.transformer
        self.is_endless = prior.attention_columns is not None
        self.capacity = (prior.attention_columns or prior.num_columns) * prior.num_rows
        self.position = 0
        self._frequencies = transformer.rotary_frequencies(torch.device("cpu")).double()
        self._rotation = self._rotation_of(0)
        self._places = prior.row_embedding.weight + prior.class_embedding(labels)[:, None]
        blocks = cast(Iterable[TransformerBlock], transformer.blocks)  # a ModuleList has no type for its items
        self._layers = [_LayerStepper(block, len(labels), self.capacity, precision) for block in blocks]
        self._to_logits = _linear(*_after_norm(transformer.norm, prior.to_logits), len(labels), precision)

    @torch.no_grad()
    def start(self, codes: Tensor, context: Tensor | None) -> None:
        """Fills the cache from a prefix of at most a window, whose last code the next `step` takes.

        The codes are (batch, length), and their context (batch, length, width) or None. The prefix may be empty.
        """
        self.position = codes.shape[1]
        self._rotation = self._rotation_of(self.position // self.prior.num_rows)
        if self.position:
            kept: list[tuple[Tensor, Tensor]] = []
            self.prior.hidden(codes[:, :-1], self.labels, context, kept)
            for layer, (keys, values) in zip(self._layers, kept, strict=True):
                layer.fill(keys, values)

    @torch.no_grad()
    def step(self, previous: Tensor | None, context: Tensor | None) -> Tensor:
        """Logits (batch, num_codes) of the next code.

        Args:
            previous: (batch,) code before it; None at the start.
            context: (batch, width) context of its position, or None.

        Raises:
            ValueError: if the cache is full, and the prior has no `attention_columns`.
        """
        if self.position == self.capacity and not self.is_endless:
            raise ValueError(f"This prior attends to {self.capacity} codes at most; start again with a part of them.")
        column, row = divmod(self.position, self.prior.num_rows)
        if row == 0:
            self._rotation = self._rotation_of(column)
        x = self._places[:, row]
        if previous is not None:
            x = x + self.prior.code_embedding(previous)
        if context is not None:
            x = x + context
        slot, num_filled = self.position % self.capacity, min(self.position + 1, self.capacity)
        with torch.autocast(x.device.type, enabled=False):  # the layers have their own precision
            for layer in self._layers:
                x = layer(x, self._rotation, slot, num_filled)
            self.position += 1
            return self._to_logits(F.layer_norm(x, x.shape[-1:]))

    def _rotation_of(self, column: int) -> Tensor:
        angles = column * self._frequencies  # in double precision: an hour has hundreds of thousands of columns
        return torch.polar(torch.ones_like(angles), angles).to(torch.complex64).to(self.labels.device)


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raises a ValueError if this device cannot compute with weights of this precision."""
    if precision == "float32":
        return
    if device.type != "cpu":
        raise ValueError(
            f"The sampling's precision is {precision}, expected float32 on {device.type}: the trainer's decides there. "
            "Leave it out."
        )
    if precision == "float16" and not {"x86", "fbgemm"} & set(torch.backends.quantized.supported_engines):
        raise ValueError("The sampling's precision is float16, which needs an x86 CPU. Leave it out, or try int8.")


def time_precisions(prior: CodePrior, num_codes: int = 30) -> dict[str, float]:
    """Seconds per code in each precision that this CPU has, the shortest of a few measurements."""
    prior, label = copy.deepcopy(prior).cpu().eval(), torch.zeros(1, dtype=torch.long)
    times_s = {}
    for precision in get_args(Precision):
        with suppress(ValueError):  # this CPU lacks it
            stepper = PriorStepper(prior, label, precision)
            times_s[precision] = time_shortest(partial(stepper.step, label, None), min(num_codes, stepper.capacity))
    return times_s


class _LayerStepper:
    """One block, with cached keys (batch · key heads, head width, capacity) and values (the last two swapped)."""

    def __init__(self, block: TransformerBlock, batch_size: int, capacity: int, precision: Precision) -> None:
        width = block.attention_out.in_features
        self.num_heads, self.head_width = block.num_heads, width // block.num_heads
        self.num_cached = batch_size * block.num_key_value_heads
        weight, bias = _after_norm(block.attention_norm, block.to_queries_keys_values)
        num_rotated = block.num_heads + block.num_key_value_heads
        order = _paired_order(num_rotated, self.head_width)
        order = torch.cat([order, torch.arange(len(order), len(weight))]).to(weight.device)
        scale = torch.ones(len(weight), device=weight.device)
        scale[:width] = self.head_width**-0.5
        weight, bias = weight[order] * scale[:, None], bias[order] * scale
        self.to_queries_keys_values = _linear(weight, bias, batch_size, precision)
        self.splits = [num_rotated * self.head_width, block.num_key_value_heads * self.head_width]
        self.attention_out = _linear(block.attention_out.weight, block.attention_out.bias, batch_size, precision)
        self.expand = _linear(*_after_norm(block.feedforward_norm, block.expand), batch_size, precision)
        self.shrink = _linear(block.shrink.weight, block.shrink.bias, batch_size, precision)
        dtype, device = _dtype_on(weight.device), weight.device
        self.keys = torch.zeros(self.num_cached, self.head_width, capacity, dtype=dtype, device=device)
        self.values = torch.zeros(self.num_cached, capacity, self.head_width, dtype=dtype, device=device)

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """Stores the last keys and values of a prefix (batch, key heads, length, head width) that fit."""
        capacity, length = self.values.shape[1], keys.shape[2]
        slots = torch.arange(max(0, length - capacity), length, device=keys.device)
        order = _paired_order(1, self.head_width)
        self.keys[:, :, slots % capacity] = keys[:, :, slots][..., order].flatten(0, 1).mT.to(self.keys.dtype)
        self.values[:, slots % capacity] = values[:, :, slots].flatten(0, 1).to(self.values.dtype)

    def __call__(self, x: Tensor, rotation: Tensor, slot: int, num_filled: int) -> Tensor:
        batch_size, width = x.shape
        rotated, values = self.to_queries_keys_values(F.layer_norm(x, (width,))).split(self.splits, dim=1)
        pairs = torch.view_as_complex(rotated.unflatten(1, (-1, self.head_width // 2, 2))) * rotation
        rotated = torch.view_as_real(pairs).flatten(2)
        self.keys[:, :, slot] = rotated[:, self.num_heads :].reshape(-1, self.head_width)
        self.values[:, slot] = values.reshape(-1, self.head_width)
        queries = rotated[:, : self.num_heads].reshape(self.num_cached, -1, self.head_width).to(self.keys.dtype)
        weights = torch.bmm(queries, self.keys[:, :, :num_filled]).softmax(-1)
        attended = torch.bmm(weights, self.values[:, :num_filled]).view(batch_size, width)
        x = x + self.attention_out(attended)
        return x + self.shrink(F.gelu(self.expand(F.layer_norm(x, (width,)))))


def _paired_order(num_heads: int, head_width: int) -> Tensor:
    """Order of the channels in which those that are rotated together are neighbours."""
    pairs = torch.arange(head_width).view(2, -1).T.flatten()
    return (torch.arange(num_heads)[:, None] * head_width + pairs).flatten()


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer, with the scale and shift of the norm before it folded in."""
    weight = linear.weight.detach().float()
    return weight * norm.weight.detach(), linear.bias.detach() + (weight * norm.bias.detach()).sum(1)


def _linear(weight: Tensor, bias: Tensor, batch_size: int, precision: Precision) -> Callable[[Tensor], Tensor]:
    """A layer (batch, in) → (batch, out) in fp32, in the fastest form on this device for a few rows."""
    weight, bias = weight.detach().float(), bias.detach().float()
    if weight.device.type != "cpu":
        dtype = _dtype_on(weight.device)
        weight, bias = weight.to(dtype), bias.to(dtype)
        return lambda x: F.linear(x.to(dtype), weight, bias).float()
    if precision == "float16":
        packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
        return lambda x: torch.ops.quantized.linear_dynamic_fp16(x, packed)
    if precision == "int8":
        scale = weight.abs().amax(1) / 127
        rounded = (weight / scale[:, None]).round().to(torch.int8)
        half_scale = scale.bfloat16()
        return lambda x: torch._weight_int8pack_mm(x.bfloat16(), rounded, half_scale).float() + bias
    return _blocked_linear(weight, bias, batch_size)


def _dtype_on(device: torch.device) -> torch.dtype:
    """The type of autocast, except on a CPU, which computes no single rows faster in bf16."""
    is_wanted = device.type != "cpu" and torch.is_autocast_enabled(device.type)
    return torch.get_autocast_dtype(device.type) if is_wanted else torch.float32


def _blocked_linear(weight: Tensor, bias: Tensor, batch_size: int) -> Callable[[Tensor], Tensor]:
    """A layer in blocks of output channels: MKL reads their weights several times as fast as in one product.

    The forms are the fastest of those measured. `x` must not be copied to columns before the product.
    """
    num_out, num_in = weight.shape
    num_blocks = NUM_WEIGHT_BLOCKS if num_out % NUM_WEIGHT_BLOCKS == 0 else 1
    blocks = weight.view(num_blocks, -1, num_in).contiguous()
    if batch_size > 1 and num_in > num_out:
        row_biases = bias.view(num_blocks, 1, -1)
        return lambda x: (
            torch.baddbmm(row_biases, x.expand(num_blocks, -1, -1), blocks.mT).transpose(0, 1).reshape(-1, num_out)
        )
    biases = bias.view(num_blocks, -1, 1)
    return lambda x: torch.baddbmm(biases, blocks, x.expand(num_blocks, -1, -1).mT).view(num_out, -1).mT.contiguous()
