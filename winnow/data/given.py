"""Data of one's own as it is given: arrays, pairs or datasets, checked and brought into one form.

    {"train": (x, y), "test": (x, y)}      or a pair of such pairs, or two datasets of (x, y)

``x``: images (N, C, H, W), grey ones (N, H, W), or features (N, F), which become (N, F, 1, 1);
uint8, or any number that float32 holds. ``y``: classes (N,), whole numbers from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from winnow.data.images import Arrays
from winnow.errors import UserError, unknown

_SPLITS = ("train", "test")
_EXACT = 2**24  # up to here float32 holds every whole number
_FORM = 'give {"train": (x, y), "test": (x, y)}'


def given_arrays(given: Any, said: str) -> Arrays:
    """The four arrays of `Images` from what somebody gives; ``said`` begins each error.

    uint8 stays, other numbers become float32. UserError: another form, shapes or types that do not
    fit, numbers that are not finite, labels that are no classes, a class without a training image.
    """
    arrays: Arrays = {}
    for name, split in _splits(given, said).items():
        x, y = _pair(split, f"{said}: {name}")
        arrays[f"{name}_x"] = _inputs(x, f"{said}: x of {name}")
        arrays[f"{name}_y"] = _classes(y, f"{said}: y of {name}")
        count, labels = len(arrays[f"{name}_x"]), len(arrays[f"{name}_y"])
        if count != labels:
            raise UserError(f"{said}: {name} has {count} examples in x and {labels} labels in y")
    _check_alike(arrays, said)
    _check_labels(arrays, said)
    return arrays


def _splits(given: Any, said: str) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        for name in given:
            if name not in _SPLITS:
                hint = "There are train and test; data.validation holds out a part of train"
                raise unknown(f"split of {said}:", str(name), _SPLITS, hint)
        if missing := [name for name in _SPLITS if name not in given]:
            raise UserError(f"{said}: there is no {missing[0]} split: {_FORM}")
        return given
    if isinstance(given, tuple | list) and len(given) == 2:
        return dict(zip(_SPLITS, given, strict=True))
    raise UserError(f"{said} is {_kind(given)}: {_FORM}")


def _pair(split: Any, said: str) -> tuple[Any, Any]:
    """Inputs and labels: of a pair, or of a dataset, example by example."""
    if isinstance(split, tuple | list):
        if len(split) != 2:
            raise UserError(f"{said} has {len(split)} parts: give (x, y)")
        return split[0], split[1]
    if isinstance(split, Tensor | np.ndarray) or not (
        hasattr(split, "__len__") and hasattr(split, "__getitem__")
    ):
        raise UserError(f"{said} is {_kind(split)}: give (x, y), or a dataset of such pairs")
    if not len(split):
        raise UserError(f"{said} has no example")
    try:
        pairs = [split[i] for i in range(len(split))]
        xs, ys = zip(*((_image(x), int(y)) for x, y in pairs), strict=True)
    except (TypeError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise UserError(f"{said} is no dataset of (image, class): {error}") from None
    for number, x in enumerate(xs):
        if x.shape != xs[0].shape:
            raise UserError(
                f"{said}: example 0 has the shape {tuple(xs[0].shape)} and example {number} "
                f"{tuple(x.shape)}: bring all to one size"
            )
    return torch.stack(xs), torch.tensor(ys)


def _image(x: Any) -> Tensor:
    """An example of a dataset: a tensor, an array, or an image of Pillow (H, W, C) as (C, H, W)."""
    if isinstance(x, Tensor):
        return x.detach().cpu()
    array = np.array(x)
    is_picture = array.ndim == 3 and not isinstance(x, np.ndarray)
    return torch.from_numpy(array.transpose(2, 0, 1).copy() if is_picture else array)


def _tensor(value: Any, said: str) -> Tensor:
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_quantized:
            raise UserError(f"{said} is a sparse or quantised tensor: give a plain one")
        return value.detach().cpu().contiguous()
    if isinstance(value, list | tuple):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise UserError(f"{said} is a list that is no array: {error}") from None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "uifb":
        what = f"of type {value.dtype}" if isinstance(value, np.ndarray) else _kind(value)
        raise UserError(f"{said} is {what}: give a tensor or an array of numbers")
    if value.dtype.kind == "u" and value.dtype != np.uint8:
        value = value.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(value.astype(value.dtype.newbyteorder("="))))


def _inputs(value: Any, said: str) -> Tensor:
    x = _tensor(value, said)
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise UserError(
            f"{said} has the shape {tuple(x.shape)}: images are (N, C, H, W) or (N, H, W), "
            "features (N, F), with at least one of each"
        )
    if x.ndim == 4 and x.shape[3] in (3, 4) and x.shape[1] > 4 and x.dtype == torch.uint8:
        raise UserError(
            f"{said} has the shape {tuple(x.shape)}, with the channels last: give (N, C, H, W), "
            "x.permute(0, 3, 1, 2) of a tensor or x.transpose(0, 3, 1, 2) of an array"
        )
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim == 2:
        x = x[:, :, None, None]
    return _numbers(x, said).contiguous()


def _numbers(x: Tensor, said: str) -> Tensor:
    if x.dtype == torch.uint8:
        return x
    if x.is_complex():
        raise UserError(f"{said} is {x.dtype}: networks here take real numbers")
    if not x.is_floating_point():
        x = x.to(torch.int64)
        if int(x.abs().max()) > _EXACT:
            raise UserError(f"{said} has whole numbers above {_EXACT}, which float32 does not hold")
        return x.to(torch.float32)
    x = x.to(torch.float32)
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        kind = "NaN" if bool(x[first].isnan().any()) else "infinity"
        raise UserError(
            f"{said} has {kind} in {int(bad.sum())} of {len(x)} examples, first in example "
            f"{first}: remove or fill them"
        )
    return x


def _classes(value: Any, said: str) -> Tensor:
    y = _tensor(value, said)
    if y.ndim == 2 and y.shape[1] == 1:
        raise UserError(f"{said} has the shape {tuple(y.shape)}: give (N,), e.g. y.squeeze(1)")
    if y.ndim != 1:
        raise UserError(
            f"{said} has the shape {tuple(y.shape)}: give the class of each example (N,), of "
            "one-hot rows y.argmax(1)"
        )
    if y.is_floating_point() or y.is_complex():
        raise UserError(f"{said} is {y.dtype}: classes are whole numbers, e.g. y.long()")
    y = y.to(torch.int64)
    if len(y) and int(y.min()) < 0:
        first = int((y < 0).nonzero()[0])
        raise UserError(f"{said}: the label of example {first} is {int(y[first])}; the first is 0")
    return y


def _check_alike(arrays: Arrays, said: str) -> None:
    """UserError for training and test inputs of different shapes or kinds."""
    train, test = arrays["train_x"], arrays["test_x"]
    if train.shape[1:] != test.shape[1:]:
        raise UserError(
            f"{said}: an example of train has the shape {tuple(train.shape[1:])}, one of test "
            f"{tuple(test.shape[1:])}"
        )
    if train.dtype != test.dtype:
        raise UserError(
            f"{said}: x of train becomes {train.dtype}, x of test {test.dtype}: give both alike"
        )


def _check_labels(arrays: Arrays, said: str) -> None:
    """UserError for classes without a training example, or that only the test split has."""
    train, test = arrays["train_y"], arrays["test_y"]
    classes = int(train.max()) + 1
    if classes < 2:
        raise UserError(f"{said}: all labels of train are 0: at least two classes are needed")
    if classes > max(1000, len(train)):
        raise UserError(
            f"{said}: labels go up to {classes - 1} in {len(train)} examples: number the classes "
            "from 0"
        )
    empty = (torch.bincount(train, minlength=classes) == 0).nonzero().flatten().tolist()
    if empty:
        listed = ", ".join(map(str, empty[:5])) + (", …" if len(empty) > 5 else "")
        raise UserError(
            f"{said}: labels go from 0 to {classes - 1}, and train has no example of {listed}: "
            "number the classes without gaps"
        )
    if int(test.max()) >= classes:
        first = int((test >= classes).nonzero()[0])
        raise UserError(
            f"{said}: the label of test example {first} is {int(test[first])}; train has classes "
            f"0 to {classes - 1}"
        )


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
