"""A server of the benchmark's own, and what is in its databases."""

import hashlib
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import bson.raw_bson
import pymongo

# The same for every case. Half a gigabyte fits, so that dumps are not about reading a disk; 8 GB do not.
CACHE_GB = 1
BATCH = 4 * 1024 * 1024


class Mongod:
    """A replica set of one node; killed and removed by `stop`."""

    def __init__(self, program, home):
        self.home = pathlib.Path(home)
        self.home.mkdir()
        (self.home / "data").mkdir()
        port = free_port()
        with open(self.home / "log", "wb") as log:
            # A session of its own: Ctrl-C is for the benchmark, which stops the server when it no longer needs it.
            self.process = subprocess.Popen(
                [program, "--dbpath", self.home / "data", "--port", str(port), "--bind_ip", "127.0.0.1",
                 "--replSet", "rs0", "--oplogSize", "512", "--wiredTigerCacheSizeGB", str(CACHE_GB),
                 "--setParameter", "diagnosticDataCollectionEnabled=false"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=many_files)
        try:
            self._initiate(port)
        except BaseException:
            self.stop()
            raise

    def _initiate(self, port):
        self.uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        self.client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=30_000,
                                          document_class=bson.raw_bson.RawBSONDocument)
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        try:
            self.client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        except pymongo.errors.PyMongoError as error:
            raise RuntimeError(f"mongod does not start: {error}\n{(self.home / 'log').read_text()[-2000:]}") from error
        while not self.client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def version(self):
        return self.client.server_info()["version"]

    def cpu(self):
        return cpu_seconds(self.process.pid)

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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """What a process has used so far, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many_files():
    """Two files for each of thousands of collections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
