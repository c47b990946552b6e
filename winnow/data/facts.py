"""What is known of each dataset before it is loaded. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.errors import unknown


@dataclass(frozen=True)
class Facts:
    """One dataset. ``mean`` and ``std`` are those of its training pixels, one per channel.

    ``in_files``: its images are too many for memory. They stay files of any size, which are read
    when they are needed; ``shape`` is then what networks get unless a recipe says otherwise.

    They are in units of the stored uint8 values (0..255; digits: 0..16), so that
    ``(x - mean) / std`` normalises what ``load_images`` returns. They hold for the original images
    and are used for every copy: one re-coded as JPEG has slightly smaller deviations.
    """

    name: str
    shape: tuple[int, int, int]  # (C, H, W)
    classes: int
    train_size: int
    test_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    citation: str
    licence: str
    hub: str | None = None  # the dataset's name on the Hugging Face hub
    test_split: str = "test"  # the split of the source that serves as the test set
    image_columns: tuple[str, ...] = ("image", "img")
    label_columns: tuple[str, ...] = ("label", "fine_label")
    folders: tuple[str, ...] = ()  # tried in this order under $WINNOW_DATA
    most: int = 255  # the largest pixel value
    original: str | None = None  # content hash of the original pixels, where it is known
    reencoded: tuple[str, ...] = ()  # content hashes of copies whose pixels are not the original
    grey_becomes_rgb: bool = False  # the source holds some grey images among coloured ones
    in_files: bool = False
    pixels: str = "uint8"  # what is stored; float32 for some data of one's own

    def inputs(self, size: int | None = None) -> tuple[int, int, int]:
        """The shape (C, H, W) of what networks get; ``size``: pixels of a side, None for usual."""
        return self.shape if size is None else (self.shape[0], size, size)


def _of_255(*values: float) -> tuple[float, ...]:
    return tuple(255 * value for value in values)


_ALL = (
    Facts(
        name="digits",
        shape=(1, 8, 8),
        classes=10,
        train_size=1437,
        test_size=360,
        mean=(4.8868628,),
        std=(6.0171136,),
        most=16,
        citation="Alpaydin & Kaynak 1998, UCI optical recognition of handwritten digits "
        "(its 1,797 test images, bundled with scikit-learn)",
        licence="CC BY 4.0",
    ),
    Facts(
        name="mnist",
        shape=(1, 28, 28),
        classes=10,
        train_size=60_000,
        test_size=10_000,
        mean=_of_255(0.1307),
        std=_of_255(0.3081),
        citation="LeCun, Bottou, Bengio & Haffner 1998",
        licence="MIT (the hub copy)",
        hub="ylecun/mnist",
        original="c05ab68ea81521ac8f47da0003a3e04cb668da3feb1f2b9e0e929e0acfc8c47a",
        folders=("mnist",),
    ),
    Facts(
        name="fashion-mnist",
        shape=(1, 28, 28),
        classes=10,
        train_size=60_000,
        test_size=10_000,
        mean=_of_255(0.2860),
        std=_of_255(0.3530),
        citation="Xiao, Rasul & Vollgraf 2017",
        licence="MIT",
        hub="zalando-datasets/fashion_mnist",
        folders=("fashion-mnist", "fashion_mnist", "fashionmnist"),
    ),
    Facts(
        name="cifar-10",
        shape=(3, 32, 32),
        classes=10,
        train_size=50_000,
        test_size=10_000,
        mean=_of_255(0.4914, 0.4822, 0.4465),
        std=_of_255(0.2470, 0.2435, 0.2616),
        citation="Krizhevsky 2009",
        licence="not stated",
        hub="uoft-cs/cifar10",
        # all 60,000 images, compressed as JPEG by their source: accuracies are a little lower
        reencoded=("edc6d288b60c4d47ba01fe3ca7fe0ac49e7ff1dec8e550f50f0f0fbb1b2cb479",),
        folders=("cifar10", "cifar-10", "cifar_10"),
    ),
    Facts(
        name="cifar-100",
        shape=(3, 32, 32),
        classes=100,
        train_size=50_000,
        test_size=10_000,
        mean=_of_255(0.5071, 0.4865, 0.4409),
        std=_of_255(0.2673, 0.2564, 0.2762),
        citation="Krizhevsky 2009 (the 100 fine labels)",
        licence="not stated",
        hub="uoft-cs/cifar100",
        label_columns=("fine_label", "label"),
        folders=("cifar100", "cifar-100", "cifar_100"),
    ),
    Facts(
        name="tiny-imagenet",
        shape=(3, 64, 64),
        classes=200,
        train_size=100_000,
        test_size=10_000,
        mean=_of_255(0.4802, 0.4481, 0.3975),
        std=_of_255(0.2770, 0.2691, 0.2821),
        citation="Le & Yang 2015 (its validation split is the test set here: the labels of its "
        "own test split are not public)",
        licence="ImageNet terms: non-commercial research",
        hub="zh-plus/tiny-imagenet",
        test_split="valid",
        folders=("tiny-imagenet", "tiny_imagenet", "tinyimagenet"),
        grey_becomes_rgb=True,
    ),
    Facts(
        name="imagenet",
        shape=(3, 224, 224),
        classes=1000,
        train_size=1_281_167,
        test_size=50_000,
        mean=_of_255(0.485, 0.456, 0.406),
        std=_of_255(0.229, 0.224, 0.225),
        citation="Russakovsky et al. 2015, ILSVRC 2012 (its validation images are the test set "
        "here: the labels of its own test set are not public)",
        licence="ImageNet terms: non-commercial research, no redistribution",
        test_split="val",
        folders=("imagenet",),
        in_files=True,
    ),
    Facts(
        name="generated-images",
        shape=(3, 64, 64),
        classes=4,
        train_size=192,
        test_size=64,
        mean=(127.9, 128.9, 126.0),
        std=(52.5, 52.3, 51.9),
        citation="no dataset of any paper: textures generated by Winnow, for tests",
        licence="made here, free of any",
        test_split="val",
        in_files=True,
    ),
)
_TABLE = {entry.name: entry for entry in _ALL}


def dataset_names() -> list[str]:
    """The datasets that there are."""
    return list(_TABLE)


def facts(name: str) -> Facts:
    """The facts of a dataset; UserError when it is unknown."""
    if name not in _TABLE:
        listed = f"The datasets are {', '.join(_TABLE)}; a folder of your own is ./{name}"
        raise unknown("dataset", name, _TABLE, listed)
    return _TABLE[name]


def is_reencoded(name: str, content: str) -> bool:
    """Whether images of a dataset, by the hash of their content, are known not to be the original
    pixels: numbers on them are not those that a paper could print. UserError: unknown dataset.
    """
    known = facts(name)
    other = known.original is not None and content != known.original
    return other or content in known.reencoded
