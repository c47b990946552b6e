"""Data as users give it: every form becomes the same four arrays, every fault is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from torch.utils.data import TensorDataset

from winnow.data.given import given_arrays
from winnow.data.images import content_hash
from winnow.errors import UserError

X = torch.arange(6 * 2 * 3 * 3, dtype=torch.uint8).reshape(6, 2, 3, 3)
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def of(x=X, y=Y, test_x=None, test_y=None):
    test = (x if test_x is None else test_x, y if test_y is None else test_y)
    return {"train": (x, y), "test": test}


@pytest.mark.parametrize(
    "written",
    [
        of(),
        ((X, Y), (X, Y)),
        [(X, Y), [X, Y]],
        of(X.numpy(), Y.numpy().astype(np.uint16)),
        of(X, Y.tolist()),
        of(X, Y.to(torch.int32)),
        {"train": TensorDataset(X, Y), "test": list(zip(X, Y, strict=True))[0:0] or (X, Y)},
        of(X.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)),  # not contiguous
        of(X.numpy().astype(">u1"), Y.numpy().astype(">i8")),
    ],
)
def test_all_forms_are_the_same_data(written):
    arrays = given_arrays(written, "data")
    assert content_hash(arrays) == content_hash(
        {"train_x": X, "train_y": Y, "test_x": X, "test_y": Y}
    )


@pytest.mark.parametrize(
    ("x", "shape", "dtype"),
    [
        (X.float(), (6, 2, 3, 3), torch.float32),
        (X.double(), (6, 2, 3, 3), torch.float32),
        (X.bfloat16(), (6, 2, 3, 3), torch.float32),
        (X.long(), (6, 2, 3, 3), torch.float32),
        (X > 20, (6, 2, 3, 3), torch.float32),
        (X[:, 0], (6, 1, 3, 3), torch.uint8),
        (X[:, 0, 0], (6, 3, 1, 1), torch.uint8),
        (X[:, 0, 0].double().numpy(), (6, 3, 1, 1), torch.float32),
    ],
)
def test_shapes_and_types(x, shape, dtype):
    arrays = given_arrays(of(x), "data")
    assert arrays["train_x"].shape == shape
    assert arrays["test_x"].dtype == dtype
    assert arrays["train_x"].flatten().tolist() == torch.as_tensor(x).flatten().double().tolist()


def test_pictures_of_a_dataset():
    image = pytest.importorskip("PIL.Image")
    pictures = [
        (image.fromarray(x.permute(1, 2, 0).repeat(1, 1, 2)[..., :3].numpy()), int(y))
        for x, y in zip(X, Y, strict=True)
    ]
    arrays = given_arrays({"train": pictures_of(pictures), "test": pictures_of(pictures)}, "data")
    assert torch.equal(arrays["train_x"], X.repeat(1, 2, 1, 1)[:, :3])


class pictures_of:  # noqa: N801  a dataset as torchvision has them
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i]


NAN = X.float().clone()
NAN[4, 0, 0, 0] = torch.nan
INF = X.float().clone()
INF[3] = torch.inf


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (5, "data is a int: give"),
        ((X, Y, X, Y), "data is a tuple: give"),
        ({"train": (X, Y)}, "there is no test split"),
        ({"train": (X, Y), "tset": (X, Y)}, r"unknown split of data: 'tset'. Did you mean 'test'"),
        ({"train": (X, Y), "test": None}, "data: test is None: give"),
        ({"train": (X, Y, X), "test": (X, Y)}, "data: train has 3 parts"),
        ({"train": X, "test": (X, Y)}, "data: train is a Tensor"),
        ({"train": TensorDataset(X), "test": (X, Y)}, "train is no dataset of"),
        (of("text"), "x of train is a str: give a tensor"),
        (of(np.array(["a"])), "x of train is of type <U1"),
        (of(X[0, 0, 0]), r"x of train has the shape \(3,\)"),
        (of(X[:0], Y[:0]), r"x of train has the shape \(0, 2, 3, 3\)"),
        (of(torch.zeros(6, 9, 9, 3, dtype=torch.uint8)), "with the channels last"),
        (of(NAN), "x of train has NaN in 1 of 6 examples, first in example 4"),
        (
            of(X.float(), test_x=INF),
            "x of test has infinity in 1 of 6 examples, first in example 3",
        ),
        (of(X.to(torch.complex64)), "is torch.complex64"),
        (of(torch.full((6, 2), 2**25)), "above 16777216"),
        (of(X, Y[:5]), "train has 6 examples in x and 5 labels in y"),
        (of(X, Y[:, None]), r"shape \(6, 1\): give \(N,\), e.g. y.squeeze"),
        (of(X, torch.eye(6)), r"of one-hot rows y.argmax"),
        (of(X, Y.float()), "y of train is torch.float32: classes are whole"),
        (of(X, Y - 1), "y of train: the label of example 0 is -1"),
        (of(X, Y * 0), "at least two classes"),
        (of(X, Y * 2), "train has no example of 1, 3: number the classes without gaps"),
        (of(X, Y * 10**9), "labels go up to 2000000000 in 6 examples"),
        (of(X, test_y=Y + 1), "the label of test example 2 is 3; train has classes 0 to 2"),
        (of(X, test_x=X[:, :1]), r"of train has the shape \(2, 3, 3\), one of test \(1, 3, 3\)"),
        (of(X, test_x=X.float()), "x of train becomes torch.uint8, x of test torch.float32"),
        (
            {"train": pictures_of([(X[0], 0), (X[0, :, :2], 1)]), "test": (X, Y)},
            r"example 0 has the shape \(2, 3, 3\) and example 1 \(2, 2, 3\)",
        ),
        ({"train": pictures_of([]), "test": (X, Y)}, "data: train has no example"),
    ],
)
def test_every_fault_is_named(written, told):
    with pytest.raises(UserError, match=told):
        given_arrays(written, "data")


@given(strategies.lists(strategies.integers(0, 9), min_size=2, max_size=30))
def test_classes_are_counted_or_refused(labels):
    x = torch.zeros(len(labels), 2)
    gaps = set(range(max(labels) + 1)) - set(labels)
    if gaps or max(labels) == 0:
        with pytest.raises(UserError):
            given_arrays(of(x, torch.tensor(labels)), "data")
    else:
        arrays = given_arrays(of(x, torch.tensor(labels)), "data")
        assert arrays["train_y"].tolist() == labels
