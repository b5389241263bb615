"""What is in the source: made when a case first asks for it."""

import dataclasses
import functools
import time

from .documents import Shop
from .process import say


@dataclasses.dataclass
class Data:
    """A database: its documents, and how to recognise them elsewhere."""

    db: str
    documents: int
    bytes: int
    fingerprint: dict

    @property
    def counts(self):
        return {name: count for name, (count, _) in self.fingerprint.items()}


class Databases:
    """The databases of the source."""

    def __init__(self, source, options):
        self.source, self.options = source, options
        self.shop = Shop()
        self.grown_to, self.growing, self.grown_bytes = 0, None, 0

    @functools.cached_property
    def one(self):
        total = self._fill("one", "orders", self.shop.orders("one"), self.options.mib << 20)
        return self._filled("one", total)

    @functools.cached_property
    def two(self):
        total = self._fill("two", "orders", self.shop.orders("two"), self.options.mib << 19)
        total += self._fill("two", "events", self.shop.events("two"), self.options.mib << 19)
        return self._filled("two", total)

    @functools.cached_property
    def many(self):
        count = self.options.collections
        say(f"filling {count} collections of ten documents")
        documents, total = self.shop.settings("many"), 0
        for number in range(count):
            batch = [next(documents) for _ in range(10)]
            total += self.source.insert("many", f"settings{number:04}", iter(batch), sum(map(len, batch)))
        return self._filled("many", total)

    @functools.cached_property
    def large(self):
        total = self._fill("large", "recordings", self.shop.recordings("large"), self.options.large_mib << 20)
        return self._filled("large", total)

    def grown(self, gigabytes):
        """A collection of orders of this size: one that is smaller is made larger."""
        size = int(gigabytes * 1e9)
        if self.growing is None or size < self.grown_to:
            self.source.client.drop_database("grown")
            self.grown_to, self.growing, self.grown_bytes = 0, self.shop.orders("grown"), 0
        self.grown_bytes += self._fill("grown", "orders", self.growing, size - self.grown_bytes)
        self.grown_to = size
        return self._filled("grown", self.grown_bytes)

    def _fill(self, db, collection, documents, size):
        began = time.monotonic()
        total = self.source.insert(db, collection, documents, size)
        took = time.monotonic() - began
        say(f"{db}.{collection} filled with {total / 1e6:.0f} MB at {total / 1e6 / took:.0f} MB/s")
        return total

    def _filled(self, db, total):
        self.source.settle()
        fingerprint = self.source.fingerprint(db)
        return Data(db, sum(count for count, _ in fingerprint.values()), total, fingerprint)
