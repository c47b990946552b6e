"""``winnow doctor``: what this machine offers."""

from __future__ import annotations

from winnow.cli.options import StoreOption


def doctor_command(store: StoreOption = None) -> None:
    """Show versions, cores, and the data and engines found here."""
    from winnow.cli.describe.machine import examine
    from winnow.experiments import store_path

    for line in examine(store_path(store)):
        print(line)
