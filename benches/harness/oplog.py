"""Archives with a long oplog, in the format that mongodump writes, made without a server."""

import random
import struct

import bson

DB = "replayed"
MAGIC, TERMINATOR = b"\x6d\xe2\x99\x81", b"\xff" * 4
# Documents in the collection before the replay: every entry finds one or puts one there.
DOCUMENTS = 20_000
COLLECTIONS = ("a", "b")


def archive(path, entries):
    """Writes one, and returns what each collection holds when it has been replayed."""
    chance = random.Random(7)
    state = {name: {key: {"_id": key, "n": 0, "text": "before"} for key in range(DOCUMENTS)} for name in COLLECTIONS}
    begin = {name: [bson.encode(document) for document in documents.values()] for name, documents in state.items()}
    oplog = [bson.encode(entry(chance, state, number)) for number in range(entries)]
    spaces = [(DB, name, begin[name]) for name in COLLECTIONS] + [("", "oplog", oplog)]
    with open(path, "wb") as out:
        out.write(MAGIC)
        out.write(bson.encode({"concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "x"}))
        for db, name, _ in spaces:
            metadata = '{"indexes":[],"collectionName":"%s","type":"collection"}' % name if db else ""
            out.write(bson.encode({"db": db, "collection": name, "metadata": metadata, "size": 0,
                                   "type": "collection" if db else ""}))
        out.write(TERMINATOR)
        for db, name, documents in spaces:
            out.write(header(db, name, False, 0))
            out.writelines(documents)
            out.write(TERMINATOR + header(db, name, True, crc64(documents)) + TERMINATOR)
    return {name: len(documents) for name, documents in state.items()}


def entry(chance, state, number):
    """Half of them insert, a quarter changes and a quarter deletes."""
    name = chance.choice(COLLECTIONS)
    documents = state[name]
    common = {"ts": bson.Timestamp(1_700_000_000, number + 1), "t": bson.Int64(1), "v": bson.Int64(2), "ns": f"{DB}.{name}"}
    kind = chance.randrange(4)
    if kind < 2:
        document = {"_id": DOCUMENTS + number, "n": number, "text": "inserted by an entry of the oplog", "tags": ["a", "b"]}
        documents[document["_id"]] = document
        return {"op": "i", "o": document, "o2": {"_id": document["_id"]}} | common
    key = chance.choice(range(DOCUMENTS)) if kind == 2 or number < 100 else DOCUMENTS + chance.randrange(number)
    if kind == 2 and key in documents:
        return {"op": "u", "o": {"$v": 2, "diff": {"u": {"n": number}, "i": {"changed": True}}}, "o2": {"_id": key}} | common
    documents.pop(key, None)
    return {"op": "d", "o": {"_id": key}} | common


def header(db, name, eof, checksum):
    return bson.encode({"db": db, "collection": name, "EOF": eof, "CRC": bson.Int64(struct.unpack("<q", struct.pack("<Q", checksum))[0])})


def table():
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (0xC96C5795D7870F42 if row & 1 else 0)
        rows.append(row)
    return rows


def crc64(documents):
    """CRC-64/XZ of all of them."""
    rows, crc = table(), (1 << 64) - 1
    for document in documents:
        for byte in document:
            crc = rows[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ (1 << 64) - 1
