"""Operations by what they do to units: nothing, or make those of two tensors one."""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch import nn

APART_FUNCTIONS = {
    F.relu, F.relu6, F.gelu, F.silu, F.elu, F.selu, F.celu, F.leaky_relu, F.hardswish, F.hardtanh,
    F.hardsigmoid, F.sigmoid, F.tanh, F.softplus, F.mish, F.dropout, torch.relu, torch.sigmoid,
    torch.tanh, torch.abs, torch.clamp, operator.neg,
}  # fmt: skip
"""Functions of single values, which keep units apart along whichever axis they stand."""

APART_METHODS = {
    "relu", "relu_", "sigmoid", "tanh", "contiguous", "clone", "float", "clamp", "clamp_",
}  # fmt: skip

APART_MODULES = (
    nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.LeakyReLU, nn.Hardswish,
    nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Mish, nn.Dropout, nn.Identity,
)  # fmt: skip

BY_CHANNEL_FUNCTIONS = {
    F.dropout1d, F.dropout2d, F.dropout3d, F.batch_norm, F.max_pool1d, F.max_pool2d, F.max_pool3d,
    F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d,
    F.adaptive_avg_pool3d, F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d,
    F.interpolate,
}  # fmt: skip
"""Functions that keep apart what stands along axis 1, and mix along the others."""

BY_CHANNEL_MODULES = (
    nn.PReLU, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d,
    nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d, nn.Upsample, nn.ZeroPad2d,
)  # fmt: skip

TOGETHER_FUNCTIONS = {
    operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul,
    torch.add, torch.sub, torch.mul,
}  # fmt: skip
"""Sums and products: units that meet are one."""

TOGETHER_METHODS = {"add", "add_", "sub", "sub_", "mul", "mul_"}
