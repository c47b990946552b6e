"""``winnow check``: whether a store is as it was written."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from winnow.cli.options import StoreOption


def check_command(
    store: StoreOption = None,
    read_data: Annotated[
        bool,
        typer.Option(
            "--read-data", help="Decode each state too, and read the images that are kept here."
        ),
    ] = False,
) -> None:
    """Read every byte of a store; name what is damaged and set it aside."""
    from winnow.checking import check_store
    from winnow.experiments import store_path

    place = store_path(store)
    checked = check_store(place, read_data=read_data)
    for text in checked.damaged:
        print(f"damaged: {text}", file=sys.stderr)
    counts = ", ".join(f"{count} {kind}" for kind, count in checked.read.items())
    print(f"{place}: {counts or 'nothing'} read; {len(checked.damaged)} damaged")
    if checked.without_digest:
        print(
            f"{checked.without_digest} of the runs have no digest, as an older Winnow wrote them: "
            "that their provenance is as it was written cannot be told"
        )
    if checked.damaged:
        print("what was set aside is made again by the next `winnow run` that needs it")
        sys.exit(1)
