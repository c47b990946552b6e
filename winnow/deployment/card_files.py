"""The files of a card: README.md for readers and the hub, card.json for programs."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from winnow.deployment.card import Card
from winnow.deployment.card_text import card_text
from winnow.deployment.hub import CARD_FILE, README_FILE, sha256_of
from winnow.digest import sealed_json
from winnow.errors import UserError
from winnow.files import write_whole

CARD_FORMAT = 1


def write_card(folder: Path, card: Card) -> None:
    """Write README.md, in the format of a Hugging Face model card, and card.json.

    Each appears whole. ``card.json`` has a digest, and the hashes of the files beside it.
    UserError for a provenance that JSON cannot hold.
    """
    try:
        text = card_text(card)
        hashes = {README_FILE: hashlib.sha256(text.encode()).hexdigest()}
        if (folder / card.file).is_file():
            hashes[card.file] = sha256_of(folder / card.file)
        plain = {"card": CARD_FORMAT, **asdict(card), "density": card.density, "sha256": hashes}
        data = sealed_json(plain)
    except (TypeError, ValueError) as error:
        raise UserError(f"the card's provenance must be plain JSON values: {error}") from error
    write_whole(folder / CARD_FILE, data)
    write_whole(folder / README_FILE, text)
