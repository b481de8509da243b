"""The data: what a shop for garden seeds sells, and who likes what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """One packet of seeds; the price is in cents."""

    number: int
    name: str
    price: int


NAMES = (
    "beetroot, long black",
    "borage",
    "broad bean, dwarf",
    "calendula, ink",
    "chard, five colours",
    "cornflower",
    "kale, crooked",
    "lovage",
    "marrow, striped",
    "nasturtium, climbing",
    "pea, grey",
    "radish, winter",
    "salsify",
    "spinach, perennial",
    "sweet pea, night",
    "turnip, golden",
)
PRODUCTS = [Product(n, name, 190 + 35 * (n % 5)) for n, name in enumerate(NAMES, 1)]
STOCK = {product.number: 7 * product.number % 40 for product in PRODUCTS}
FAVOURITES = {1: {3, 9, 16}, 2: {4}}
CARTS = {1: {3: 2, 12: 1}}
