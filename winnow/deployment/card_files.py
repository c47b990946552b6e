"""The files of a card: README.md for readers and the hub, card.json for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from winnow.deployment.card import Card
from winnow.deployment.card_text import card_text
from winnow.deployment.hub import CARD_FILE, README_FILE
from winnow.errors import UserError
from winnow.files import write_whole

CARD_FORMAT = 1


def write_card(folder: Path, card: Card) -> None:
    """Write README.md, in the format of a Hugging Face model card, and card.json.

    Each appears whole. UserError for a provenance that JSON cannot hold.
    """
    plain = {"card": CARD_FORMAT, **asdict(card), "density": card.density}
    try:
        data = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"the card's provenance must be plain JSON values: {error}") from error
    text = card_text(card)
    write_whole(folder / CARD_FILE, f"{data}\n")
    write_whole(folder / README_FILE, text)
