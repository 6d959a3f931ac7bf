#!/usr/bin/env python3
"""Reads a backup repository of Stead that lies in a directory, and nothing else: it never writes there.

It is written from docs/src/formats/backup.md alone ("the page" below), so that what is in a backup can be had without
Stead, and so that the page is known to say enough. It needs Python 3.11 and, because that has no zstd, either the package
`zstandard` or the program `zstd`.

    stead_backup.py list /var/backups/app
    stead_backup.py verify /var/backups/app
    stead_backup.py extract /var/backups/app latest > app.jsonl
"""

import argparse
import base64
import contextlib
import datetime
import hashlib
import heapq
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

VERSION = 1
MOST_SEALED_BYTES = 1 << 20
MOST_CONTENT_BYTES = 256 << 20
MOST_INDEX_BYTES = 4 << 20
CHUNK_HEADER_BYTES = 16
MOST_CHILDREN = 1024
MOST_LEVELS = 8
MOST_WEIGHT = 4 << 20
MOST_RECORDS = MOST_WEIGHT // 18 + 1
MOST_PATH_BYTES = 1024
MOST_PARTITION_BYTES = 255
MOST_NUMBER = (1 << 64) - 1
RECORDS, INDEX, PARTITIONS = 1, 2, 3
DELETED, EXPIRED, VALUE = 0, 1, 2
EPILOGUE = """\
Each line of `extract` is an entry: {"partition": .., "path": .., "revision": .., "deadline_ms": .., "value": ..}, in the order
of keys. Bytes that are UTF-8 are a string, all others {"base64": ".."}. A deadline is in milliseconds since 1970, or null.
Nothing is printed of a backup before all of it was compared with its hashes.

exit codes: 0 done, 1 no such repository or backup, 2 bad usage or nothing to decompress with, 4 not readable, 5 damaged or of
a newer version, 130 interrupted
"""


class ReaderError(Exception):
    """Why there is no answer. `code` is the exit code of the program."""

    code = 4


class NotThere(ReaderError):
    """There is no repository, or no such backup."""

    code = 1


class Invalid(ReaderError):
    """It cannot be asked for in this way, or not with what is installed here."""

    code = 2


class Unreadable(ReaderError):
    """The operating system does not give it."""

    code = 4


class Damaged(ReaderError):
    """It is not as it was written, or was never written by Stead."""

    code = 5


class NewerVersion(Damaged):
    """It was written by a version that this reader does not know."""


# Sealed objects: a line of JSON in its one form, and a line with its hash.


def number(bits):
    return lambda value: type(value) is int and 0 <= value < 1 << bits


def matching(pattern):
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def one_of(*values):
    return lambda value: isinstance(value, str) and value in values


def optional(check):
    return lambda value: value is None or check(value)


def list_of(check):
    return lambda value: isinstance(value, list) and all(map(check, value))


def absent_or(check):
    """A member that early versions do not have."""

    def checked(value):
        return isinstance(value, list) and check(value)

    checked.may_be_absent = True
    return checked


def members(**checks):
    """An object with these members in this order. A dict of Python keeps the order of the text."""

    def check(value):
        if not isinstance(value, dict):
            return False
        wanted = [name for name, check in checks.items() if name in value or not hasattr(check, "may_be_absent")]
        return list(value) == wanted and all(checks[name](value[name]) for name in wanted)

    return check


def variant(**checks):
    """An object with one member, whose name says what it is."""

    def check(value):
        if not isinstance(value, dict) or len(value) != 1:
            return False
        ((name, inner),) = value.items()
        return name in checks and checks[name](inner)

    return check


def plain(most):
    """Text that can be shown as it is: printable characters of ASCII, at least one and at most so many."""
    return matching("[ -~]{1,%d}" % most)


def parse_id(text):
    """The number and the random part of an id, which order ids as they were made. None for what is none."""
    found = re.fullmatch(r"(0|[1-9][0-9]{0,19})-([0-9a-f]{8})", text) if isinstance(text, str) else None
    if found is None or int(found[1]) > MOST_NUMBER:
        return None
    return int(found[1]), int(found[2], 16)


def is_id(value):
    return parse_id(value) is not None


U64 = number(64)
HASH = matching(r"[0-9a-f]{64}")
HEX32 = matching(r"[0-9a-f]{32}")
TAG = matching(r"[A-Za-z0-9._-]{1,64}")
CHUNK = members(id=HASH, content=number(32), stored=number(32))
REACH = variant(store=U64, partitions=members(chunk=CHUNK, highest=U64))
HEX16 = matching(r"[0-9a-f]{16}")
MARK = members(revision=U64, changes=HEX16, value=optional(HEX16))
ROOT = members(chunk=CHUNK, digest=HASH, level=number(8), records=U64)
COUNTS = members(
    entries=U64, deleted=U64, expired=U64, logical_bytes=U64, stored_bytes=U64, new_bytes=U64, chunks=U64
)
MANIFEST = members(
    id=is_id,
    kind=one_of("full", "incremental", "differential"),
    taken_ms=U64,
    tags=lambda value: list_of(TAG)(value) and len(value) <= 32,
    source=members(backend=plain(64), lineage=optional(HEX32)),
    parent=optional(members(id=is_id, record=HASH)),
    before=optional(HASH),
    after=HASH,
    **{"from": optional(REACH)},
    upto=REACH,
    history=absent_or(lambda value: 1 <= len(value) <= 16 and list_of(MARK)(value)),
    root=ROOT,
    counts=COUNTS,
    forced=optional(plain(256)),
)
ACTION = variant(
    backup=MANIFEST,
    verified=members(id=is_id, depth=plain(64)),
    prune=members(forgotten=list_of(is_id)),
    sweep=members(gone=list_of(members(first=U64, last=U64, record=HASH))),
)
LOG_RECORD = members(repository=HEX32, sequence=U64, previous=optional(HASH), at_ms=U64, action=ACTION)
HEAD = members(sequence=U64, record=HASH)
FORMAT = members(
    format=one_of("stead-backup"),
    version=number(32),
    repository=HEX32,
    created_ms=U64,
    hash=one_of("sha256"),
    compression=one_of("zstd"),
)


def parse_json(line):
    def refuse(word):
        raise ValueError(word)

    return json.loads(line.decode("utf-8"), parse_constant=refuse, parse_float=refuse)


def unseal(name, data, check):
    """The JSON of a sealed object, and the hash of its line."""
    line, newline, seal = data.partition(b"\n")
    digest = hashlib.sha256(line).hexdigest()
    if not newline or seal != digest.encode("ascii") + b"\n":
        raise Damaged(f"{name} is damaged: it is not what its hash says")
    try:
        value = parse_json(line)
        again = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except (ValueError, RecursionError) as cause:
        raise Damaged(f"{name} is malformed: {type(cause).__name__}") from None
    if again != line or not check(value):
        raise Damaged(f"{name} is malformed, or of a newer version")
    return value, digest


# Chunks, and what is in them.


class Bytes:
    """Reads from the front of a byte string."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def remaining(self):
        return len(self.data) - self.at

    def take(self, length):
        if length > self.remaining():
            raise Damaged("it ends too early")
        self.at += length
        return self.data[self.at - length : self.at]

    def byte(self):
        return self.take(1)[0]

    def number(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift > 0) or value > MOST_NUMBER:
                    break
                return value
        raise Damaged("a number has a form that none has")

    def difference(self, before):
        """A number that is given by its difference to another, around the end of 64 bits."""
        zigzag = self.number()
        return (before + ((zigzag >> 1) ^ -(zigzag & 1))) & MOST_NUMBER


def check_partition(partition):
    if not 1 <= len(partition) <= MOST_PARTITION_BYTES or 0 in partition:
        raise Damaged("a partition is none")
    return partition


def check_key(key):
    partition, nul, path = key.partition(b"\0")
    check_partition(partition)
    if not nul or len(path) > MOST_PATH_BYTES:
        raise Damaged("a key is none")
    return key


@dataclass
class Record:
    key: bytes
    revision: int = 0
    first: int = 0
    deadline: int | None = None
    kind: int = DELETED
    value: bytes = b""


def read_records(content, full):
    """The records of a chunk, column by column."""
    source = Bytes(content)
    count = source.number()
    if count > min(MOST_RECORDS, source.remaining() // 5):
        raise Damaged("it claims more records than it can hold")
    records, key, weight = [], b"", 0
    for _ in range(count):
        shared, rest = source.number(), source.number()
        if shared > len(key):
            raise Damaged("a key shares more than there is")
        before, key = key, check_key(key[:shared] + source.take(rest))
        if records and key <= before:
            raise Damaged("its keys are not in order")
        # Keys that share their front take more room here than in the chunk.
        if weight >= MOST_WEIGHT:
            raise Damaged("it holds more than a chunk of records does")
        weight += len(key) + 16
        records.append(Record(key))
    revision = 0
    for record in records:
        revision = source.difference(revision)
        record.revision = record.first = revision
    for record in [] if full else records:
        record.first -= source.number()
        if record.first < 0:
            raise Damaged("a first change lies before all revisions")
    deadline = 0
    for record in records:
        match source.number():
            case 0:
                continue
            case 1:
                record.deadline = deadline = source.difference(deadline)
            case _:
                raise Damaged("a deadline is neither there nor not")
        if deadline == MOST_NUMBER:
            raise Damaged("a deadline is none")
    lengths = [source.number() for _ in records]
    weight -= len(key) + 16
    if weight + sum(max(length - VALUE, 0) for length in lengths[:-1]) >= MOST_WEIGHT:
        raise Damaged("it holds more than a chunk of records does")
    for record, length in zip(records, lengths):
        record.kind = min(length, VALUE)
        if record.kind == VALUE:
            record.value = source.take(length - VALUE)
        elif full or record.deadline is not None:
            raise Damaged("a removal stands where none can be")
    if source.remaining():
        raise Damaged("bytes follow its records")
    return records


def leaf_digest(records):
    digest = hashlib.sha256(b"\0")
    for record in records:
        deadline = MOST_NUMBER if record.deadline is None else record.deadline
        digest.update(bytes([record.kind]) + len(record.key).to_bytes(2, "big") + record.key)
        digest.update(record.revision.to_bytes(8, "big") + deadline.to_bytes(8, "big"))
        digest.update(hashlib.sha256(record.value).digest() if record.kind == VALUE else bytes(32))
    return digest.hexdigest()


@dataclass
class Child:
    chunk: dict
    digest: str
    records: int
    first: bytes
    last: bytes

    def as_root(self, level):
        """As the manifest names the top, with the keys that only a parent names."""
        bounds = (self.first, self.last)
        return {"chunk": self.chunk, "digest": self.digest, "level": level, "records": self.records, "bounds": bounds}


def read_node(content, root):
    """The children of a node of the tree, if it is in every way what is said of it above."""
    source = Bytes(content)
    level, count = source.byte(), source.number()
    if level != root["level"] or not 1 <= level <= MOST_LEVELS or count > MOST_CHILDREN:
        raise Damaged("the node is not of the level that is named, or has too many children")
    children = []
    for _ in range(count):
        chunk, digest = source.take(32).hex(), source.take(32).hex()
        content_bytes, stored, records = source.number(), source.number(), source.number()
        first, last = (check_key(source.take(source.number())) for _ in range(2))
        if records == 0 or first > last or (children and first <= children[-1].last):
            raise Damaged("the children of a node are empty or not in order")
        children.append(Child({"id": chunk, "content": content_bytes, "stored": stored}, digest, records, first, last))
    digest = hashlib.sha256(bytes([1, level]) + count.to_bytes(8, "big"))
    for child in children:
        digest.update(bytes.fromhex(child.digest))
    if source.remaining() or digest.hexdigest() != root["digest"]:
        raise Damaged("the node is not the one whose digest is named")
    if sum(child.records for child in children) != root["records"]:
        raise Damaged("the node has not the records that are named")
    return children


def read_partitions(content, highest):
    source, before, found = Bytes(content), b"", 0
    while source.remaining():
        partition = check_partition(source.take(source.number()))
        if partition <= before:
            raise Damaged("its partitions are not in order")
        before, found = partition, max(found, source.number())
    if found != highest:
        raise Damaged("its highest revision is another than is named")


# zstd.


def with_package(frame, length):
    import zstandard

    found = []
    try:
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        with decompressor.stream_reader(frame) as reader:
            while length >= 0 and (part := reader.read(min(length + 1, 1 << 20))):
                found.append(part)
                length -= len(part)
    except zstandard.ZstdError:
        raise Damaged("its content does not decompress") from None
    return b"".join(found)


def with_program(frame, length):
    # From a file, so that neither side waits for the other.
    with tempfile.TemporaryFile() as source:
        source.write(frame)
        source.flush()
        source.seek(0)
        command = ["zstd", "--decompress", "--stdout", "--quiet"]
        with subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
            found = program.stdout.read(length + 1)
            program.stdout.close()
            failed = program.wait() != 0
    # It also fails when it was not read to its end.
    if failed and len(found) <= length:
        raise Damaged("its content does not decompress")
    return found


def decompressor(choice):
    """What decompresses a frame to at most one byte more than is expected."""
    if choice in ("auto", "package"):
        with contextlib.suppress(ImportError):
            import zstandard as _

            return with_package
    if choice in ("auto", "program") and shutil.which("zstd"):
        return with_program
    raise Invalid(
        "there is nothing to decompress zstd with: install the package zstandard (pip install zstandard), "
        "or the program zstd (Debian: apt-get install zstd)"
    )


# The repository.


@dataclass
class Logged:
    record: dict
    digest: str

    def of(self, action):
        return self.record["action"].get(action)


@dataclass
class Log:
    records: dict[int, Logged] = field(default_factory=dict)
    gone: list[dict] = field(default_factory=list)

    def is_gone(self, sequence):
        return any(gone["first"] <= sequence <= gone["last"] for gone in self.gone)

    def all(self, action):
        """What was done of one kind, in order."""
        found = ((logged, logged.of(action)) for logged in self.records.values())
        return [(logged, inner) for logged, inner in found if inner is not None]

    def backups(self):
        """The backups that were not forgotten, in the order in which they were made."""
        forgotten = {id for _, prune in self.all("prune") for id in prune["forgotten"]}
        return [(logged, manifest) for logged, manifest in self.all("backup") if manifest["id"] not in forgotten]

    def backup(self, id):
        backups = self.backups()
        if id != "latest" and not is_id(id):
            raise Invalid(f"{id!a} is no id of a backup; ids are like 42-3f9a1c2d, and `list` shows them")
        for _, manifest in backups[-1:] if id == "latest" else backups:
            if id in ("latest", manifest["id"]):
                return manifest
        raise NotThere("there is no such backup; `list` shows those that there are")

    def chain(self, manifest):
        """A backup and those that it stands on, the full one first."""
        chain = [manifest]
        while (this := chain[-1])["kind"] != "full":
            parent = this["parent"]
            if parent is None or parse_id(parent["id"]) >= parse_id(this["id"]):
                raise Damaged(f"backup {this['id']} stands on nothing older")
            logged = self.records.get(parse_id(parent["id"])[0])
            below = logged.of("backup") if logged and logged.digest == parent["record"] else None
            if below is None or below["id"] != parent["id"]:
                raise Damaged(f"backup {parent['id']}, on which {this['id']} stands, is missing or another one")
            if any(below["id"] in prune["forgotten"] for _, prune in self.all("prune")):
                raise Damaged(f"backup {parent['id']}, on which {this['id']} stands, was forgotten")
            if this["before"] != below["after"] or this["from"] != below["upto"]:
                raise Damaged(f"backup {this['id']} was made for another state than {parent['id']} gives")
            chain.append(below)
        if any(this[name] is not None for name in ("parent", "before", "from")):
            raise Damaged(f"backup {this['id']} says that it is full, and stands on another")
        return chain[::-1]


@dataclass
class Totals:
    """What was counted while a backup was read."""

    entries: int = 0
    deleted: int = 0
    expired: int = 0
    logical_bytes: int = 0
    stored_bytes: int = 0
    chunks: int = 0

    def add(self, records):
        for record in records:
            self.deleted += record.kind == DELETED
            self.expired += record.kind == EXPIRED
            self.entries += record.kind == VALUE
            self.logical_bytes += len(record.key) + len(record.value)


class Repository:
    def __init__(self, directory, zstd="auto"):
        self.directory, self.zstd = directory, zstd
        self.decompress = None
        data = self.read("FORMAT", MOST_SEALED_BYTES)
        if data is None:
            raise NotThere(f"there is no repository of backups in {directory!a}")
        # A newer version may have what this one does not know, and is named before anything else is judged.
        with contextlib.suppress(ValueError, RecursionError):
            claims = parse_json(data.partition(b"\n")[0])
            if isinstance(claims, dict) and claims.get("format") == "stead-backup":
                version = claims.get("version")
                if number(32)(version) and version > VERSION:
                    raise NewerVersion(f"the repository is of version {version}, and this reader knows {VERSION}")
        found, _ = unseal("FORMAT", data, FORMAT)
        if found["version"] != VERSION:
            raise Damaged("FORMAT is of no version that ever was")
        self.id = found["repository"]

    def read(self, name, limit):
        """An object of at most so many bytes; None where there is none."""
        path = os.path.join(self.directory, *name.split("/"))
        try:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode):
                raise Damaged(f"{name} is no file")
            if found.st_size > limit:
                raise Damaged(f"{name} has {found.st_size} bytes, and at most {limit} are expected")
            with open(path, "rb") as file:
                return file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as cause:
            raise Unreadable(f"{name} cannot be read: {cause.strerror}") from None

    def names(self, folder=""):
        """The names of all objects below a folder, without files that are still being written."""

        def failed(cause):
            if not isinstance(cause, FileNotFoundError):
                raise Unreadable(f"the repository cannot be listed: {cause.strerror}")

        top = os.path.join(self.directory, folder)
        for place, _, files in os.walk(top, onerror=failed):
            for file in files:
                if not re.search(r"#[0-9]+\Z", file):
                    yield os.path.relpath(os.path.join(place, file), self.directory).replace(os.sep, "/")

    def log(self):
        """The log, once all of it was compared."""
        # What is listed afterwards is at least as new.
        head = self.read("HEAD", MOST_SEALED_BYTES)
        head = None if head is None else unseal("HEAD", head, HEAD)[0]
        log, found = Log(), {}
        for name in self.names("log"):
            match = re.fullmatch(r"log/([0-9]{12,20})", name)
            if not match or name != f"log/{int(match[1]):012}":
                raise Damaged(f"{name!a} is none of the log's records")
            data = self.read(name, MOST_SEALED_BYTES)
            if data is None:
                raise Damaged(f"{name} is missing")
            record, digest = unseal(name, data, LOG_RECORD)
            sequence = int(match[1])
            if record["sequence"] != sequence or record["repository"] != self.id:
                raise Damaged(f"{name} was written to another place")
            found[sequence] = Logged(record, digest)
        log.records = {sequence: found[sequence] for sequence in sorted(found)}
        for logged, sweep in log.all("sweep"):
            log.gone = sweep["gone"]
            last = -1
            for gone in log.gone:
                if not last + 1 < gone["first"] <= gone["last"] < logged.record["sequence"]:
                    raise Damaged("what was swept from the log is not in order")
                last = gone["last"]
        # A sweep may have been ended before it had removed all that it announced.
        log.records = {sequence: logged for sequence, logged in log.records.items() if not log.is_gone(sequence)}
        self.check_log(log, head)
        return log

    def check_log(self, log, head):
        gaps = {(gone["first"], gone["last"]): gone["record"] for gone in log.gone}
        expected, previous = 1, None
        for sequence, logged in log.records.items():
            if sequence != expected:
                previous = gaps.get((expected, sequence - 1))
                if previous is None:
                    raise Damaged(f"log/{expected:012} is missing")
            if logged.record["previous"] != previous:
                raise Damaged(f"log/{sequence:012} does not follow the record before it")
            manifest = logged.of("backup")
            if manifest and parse_id(manifest["id"])[0] != sequence:
                raise Damaged(f"log/{sequence:012} has a backup with the number of another record")
            expected, previous = sequence + 1, logged.digest
        if head is None:
            if len(log.records) > 1:
                raise Damaged("HEAD is missing")
        elif not log.is_gone(head["sequence"]):
            newest = log.records.get(head["sequence"])
            if newest is None or newest.digest != head["record"]:
                raise Damaged(f"log/{head['sequence']:012} is missing or not the one that HEAD names")

    def chunk(self, named, kind, totals):
        """The content of a chunk that is as it was written."""
        id = named["id"]
        name = f"chunks/{id[:2]}/{id}"
        most = MOST_INDEX_BYTES if kind == INDEX else MOST_CONTENT_BYTES
        if named["content"] > most or named["stored"] > MOST_CONTENT_BYTES + CHUNK_HEADER_BYTES:
            raise Damaged(f"{name} is said to be longer than any chunk")
        data = self.read(name, named["stored"])
        if data is None:
            raise Damaged(f"{name} is missing")
        if len(data) != named["stored"] or hashlib.sha256(data).hexdigest() != id:
            raise Damaged(f"{name} is damaged: its hash is not its name")
        totals.chunks += 1
        totals.stored_bytes += len(data)
        header, body = data[:CHUNK_HEADER_BYTES], data[CHUNK_HEADER_BYTES:]
        if header[:4] == b"STBC" and header[4:5] > bytes([VERSION]):
            raise NewerVersion(f"{name} is of version {header[4]}, and this reader knows {VERSION}")
        lengths = named["content"].to_bytes(4, "little") + len(body).to_bytes(4, "little")
        compressed = header[6:7] == b"\1"
        if header != b"STBC" + bytes([VERSION, kind, compressed, 0]) + lengths:
            raise Damaged(f"{name} is malformed, or not the chunk that is named")
        if compressed:
            self.decompress = self.decompress or decompressor(self.zstd)
            body = self.decompress(body, named["content"])
        if len(body) != named["content"]:
            raise Damaged(f"{name} does not hold as much as it says")
        return body

    def blocks(self, manifest, totals):
        """The records of a backup, chunk by chunk, each compared with the tree above it."""
        full = manifest["kind"] == "full"
        waiting = [manifest["root"]]
        while waiting:
            root = waiting.pop()
            if isinstance(root, Child):
                content = self.chunk(root.chunk, RECORDS, totals)
                with named(root.chunk):
                    records = read_records(content, full)
                    if (
                        len(records) != root.records
                        or leaf_digest(records) != root.digest
                        or (records[0].key, records[-1].key) != (root.first, root.last)
                    ):
                        raise Damaged("its records are not those that the tree names")
                yield records
                continue
            content = self.chunk(root["chunk"], INDEX, totals)
            with named(root["chunk"]):
                children = read_node(content, root)
                bounds = (children[0].first, children[-1].last) if children else None
                if root.get("bounds", bounds) != bounds:
                    raise Damaged("the node does not reach from and to the keys that are named")
            level = root["level"] - 1
            waiting.extend(child if level == 0 else child.as_root(level) for child in reversed(children))

    def verify(self, manifest):
        """Reads all bytes of one backup, and compares all that it says of itself."""
        state = manifest["root"]["digest"]
        if manifest["before"] is not None:
            state = hashlib.sha256(b"\2" + bytes.fromhex(manifest["before"]) + bytes.fromhex(state)).hexdigest()
        if state != manifest["after"]:
            raise Damaged(f"backup {manifest['id']} does not give the state that it promises")
        totals, last, reach = Totals(), b"", manifest["upto"].get("store", MOST_NUMBER)
        for records in self.blocks(manifest, totals):
            # Of two chunks under different nodes, too.
            if records[0].key <= last or any(record.revision > reach for record in records):
                raise Damaged(f"backup {manifest['id']} has keys out of order, or from after its end")
            last = records[-1].key
            totals.add(records)
        if "partitions" in manifest["upto"]:
            reach = manifest["upto"]["partitions"]
            content = self.chunk(reach["chunk"], PARTITIONS, totals)
            with named(reach["chunk"]):
                read_partitions(content, reach["highest"])
        for name, counted in vars(totals).items():
            if counted != manifest["counts"][name]:
                raise Damaged(f"backup {manifest['id']} holds another number of {name} than it says")
        return totals

    def entries(self, chain):
        """What a chain of backups gives, in the order of keys. Of a key that several have, the newest counts."""
        layers = []
        for age, manifest in enumerate(reversed(chain)):
            blocks = itertools.chain.from_iterable(self.blocks(manifest, Totals()))
            layers.append((lambda age, blocks: ((record.key, age, record) for record in blocks))(age, blocks))
        before = None
        for key, _, record in heapq.merge(*layers, key=lambda item: item[:2]):
            if key != before and record.kind == VALUE:
                yield record
            before = key


@contextlib.contextmanager
def named(chunk):
    """Says of which chunk an error speaks."""
    try:
        yield
    except Damaged as error:
        raise Damaged(f"chunks/{chunk['id'][:2]}/{chunk['id']} is malformed: {error}") from None


# The commands.


def revision_of(reach):
    return reach["store"] if "store" in reach else reach["partitions"]["highest"]


def describe(log):
    verified = {inner["id"] for _, inner in log.all("verified")}
    for logged, manifest in log.backups():
        yield {
            "id": manifest["id"],
            "kind": manifest["kind"],
            "taken_ms": manifest["taken_ms"],
            "revision": revision_of(manifest["upto"]),
            "base": manifest["parent"] and manifest["parent"]["id"],
            "tags": manifest["tags"],
            "backend": manifest["source"]["backend"],
            "lineage": manifest["source"]["lineage"],
            **manifest["counts"],
            "state": manifest["after"],
            "verified": manifest["id"] in verified,
            "forced": manifest["forced"],
            "record": logged.digest,
        }


def time_of(millis):
    try:
        return datetime.datetime.fromtimestamp(millis / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{millis} ms"


def list_backups(arguments):
    rows = [("ID", "KIND", "TAKEN", "REVISION", "ENTRIES", "REMOVED", "BYTES", "BASE", "TAGS")]
    for backup in describe(Repository(arguments.repository).log()):
        if arguments.json:
            print(json.dumps(backup))
            continue
        removed = backup["deleted"] + backup["expired"]
        row = [backup["id"], backup["kind"], time_of(backup["taken_ms"]), backup["revision"], backup["entries"], removed]
        tags = ascii(",".join(backup["tags"]))[1:-1]
        rows.append((*map(str, row), str(backup["stored_bytes"]), backup["base"] or "-", tags or "-"))
    if not arguments.json:
        widths = [max(map(len, column)) for column in zip(*rows)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def verify(arguments):
    repository = Repository(arguments.repository, arguments.zstd)
    log = repository.log()
    if arguments.backup:
        manifests = log.chain(log.backup(arguments.backup))
    else:
        manifests = {below["id"]: below for _, manifest in log.backups() for below in log.chain(manifest)}.values()
        for name in repository.names():
            found = re.fullmatch(r"chunks/([0-9a-f]{2})/([0-9a-f]{64})", name)
            known = name in ("FORMAT", "HEAD", "lock") or name.startswith("log/")
            if not known and (not found or not found[2].startswith(found[1])):
                raise Damaged(f"{name!a} is no object of a repository")
    chunks = stored = 0
    for manifest in manifests:
        totals = repository.verify(manifest)
        chunks, stored = chunks + totals.chunks, stored + totals.stored_bytes
    print(f"{len(manifests)} backups are whole: {chunks} chunks, {stored} bytes")


def shown(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def extract(arguments):
    repository = Repository(arguments.repository, arguments.zstd)
    log = repository.log()
    newest = log.backup(arguments.backup)
    chain = log.chain(newest)
    for manifest in chain:
        repository.verify(manifest)
    for record in repository.entries(chain):
        if record.deadline is not None and record.deadline <= newest["taken_ms"] and not arguments.expired:
            continue
        partition, _, path = record.key.partition(b"\0")
        line = {
            "partition": shown(partition),
            "path": shown(path),
            "revision": record.revision,
            "deadline_ms": record.deadline,
            "value": shown(record.value),
        }
        print(json.dumps(line))


def arguments_of(words):
    summary, _, _ = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        prog="stead_backup.py",
        description=summary,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, text):
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("repository", metavar="DIRECTORY", help="the directory of the repository")
        added.set_defaults(run=run)
        return added

    listing = command("list", list_backups, "show the backups that there are, in the order in which they were made")
    listing.add_argument("--json", action="store_true", help="one JSON object to a line, with all that is known")
    verifying = command("verify", verify, "compare all that backups hold with the hashes that they promise")
    verifying.add_argument("backup", nargs="?", metavar="ID", help="this one and what it stands on; all unless given")
    extracting = command("extract", extract, "print the entries of a backup as JSON lines")
    extracting.add_argument("backup", metavar="ID", help="an id, or `latest`")
    extracting.add_argument("--expired", action="store_true", help="also what had expired when the backup was taken")
    for reading in (verifying, extracting):
        reading.add_argument(
            "--zstd",
            choices=("auto", "package", "program"),
            default="auto",
            help="what decompresses: the package zstandard or the program zstd; the first of them that is there unless given",
        )
    return parser.parse_args(words)


def main(words=None):
    arguments = arguments_of(words)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
        return 0
    except ReaderError as error:
        print(f"stead_backup.py: {type(error).__name__}: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        # Who reads has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as cause:
        print(f"stead_backup.py: Unreadable: {cause.strerror}", file=sys.stderr)
        return Unreadable.code


if __name__ == "__main__":
    sys.exit(main())
