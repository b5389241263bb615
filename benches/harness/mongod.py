"""A mongod of the benchmark's own, and what is in its databases."""

import hashlib
import pathlib
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import bson.raw_bson
import pymongo

from .server import Server, free_port

# The same for every case. Half a gigabyte fits, so that dumps are not about reading a disk; 8 GB do not.
CACHE_GB = 1
BATCH = 4 * 1024 * 1024


class Mongod(Server):
    """A replica set of one node."""

    def __init__(self, program, home):
        home = pathlib.Path(home)
        (home / "data").mkdir(parents=True)
        self.port = free_port()
        with open(home / "log", "wb") as log:
            super().__init__(
                [program, "--dbpath", home / "data", "--port", str(self.port), "--bind_ip", "127.0.0.1",
                 "--replSet", "rs0", "--oplogSize", "512", "--wiredTigerCacheSizeGB", str(CACHE_GB),
                 "--setParameter", "diagnosticDataCollectionEnabled=false"],
                home, stdout=log, stderr=log, preexec_fn=many_files)

    def wait(self):
        self.uri = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        self.client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=30_000,
                                          document_class=bson.raw_bson.RawBSONDocument)
        members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
        try:
            self.client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        except pymongo.errors.PyMongoError as error:
            raise RuntimeError(f"mongod does not start: {error}\n{(self.home / 'log').read_text()[-2000:]}") from error
        while not self.client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.05)

    def version(self):
        return self.client.server_info()["version"]

    def insert(self, db, collection, documents, size):
        """Inserts documents until `size` bytes are reached, and says how many bytes that were.

        In the order given: a thread inserts a batch while this one makes the next.
        """
        target = self.client[db].get_collection(collection, write_concern=pymongo.WriteConcern(w=1, j=False))
        total = 0
        with ThreadPoolExecutor(1) as thread:
            pending = None
            while total < size:
                batch, room = [], min(BATCH, size - total)
                while room > 0:
                    document = next(documents)
                    room -= len(document)
                    total += len(document)
                    batch.append(bson.raw_bson.RawBSONDocument(document))
                if pending:
                    pending.result()
                pending = thread.submit(target.insert_many, batch)
            if pending:
                pending.result()
        return total

    def settle(self):
        """Writes everything to the disk, so that no run pays for what another one wrote."""
        self.client.admin.command("fsync")

    def counts(self, db):
        database = self.client[db]
        return {name: database[name].estimated_document_count() for name in database.list_collection_names()}

    def fingerprint(self, db):
        """For each collection the number of documents and the sum of their MD5s, which no order changes."""
        database = self.client[db]
        return {name: fingerprint(database[name]) for name in database.list_collection_names()}

    def mark(self, db):
        """Puts a document into the first and the last collections that a restore with --drop must remove."""
        names = sorted(self.client[db].list_collection_names())
        for name in set(names[:1] + names[-1:]):
            self.client[db][name].replace_one({"_id": "stale"}, {}, upsert=True)


def fingerprint(collection):
    count = total = 0
    for batch in collection.find_raw_batches():
        offset, end = 0, len(batch)
        view = memoryview(batch)
        while offset < end:
            size = int.from_bytes(view[offset:offset + 4], "little")
            total += int.from_bytes(hashlib.md5(view[offset:offset + size]).digest(), "big")
            offset += size
            count += 1
    return count, f"{total % (1 << 128):032x}"


def many_files():
    """Two files for each of thousands of collections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
