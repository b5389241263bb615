"""What all cases share: two servers, the data in them, the programs, and runs in turn."""

import functools
import pathlib
import re

from . import s3
from .databases import Databases
from .mongod import Mongod
from .process import OFFICIAL, OURS, Broken, run, say


class Bench:
    """Dumps are taken from one server and restored to another, so that a dump always finds the data as it was inserted."""

    def __init__(self, options, repository, cache, home, ours, tools):
        self.options, self.repository, self.cache, self.home = options, repository, cache, home
        self.ours, self.tools = pathlib.Path(ours), pathlib.Path(tools)
        self.servers = []
        self.mongod = cache / "mongod" / "6.0.5" / "mongod"
        try:
            self.source = self._keep(Mongod(self.mongod, home / "source"))
            self.target = self._keep(Mongod(self.mongod, home / "target"))
        except BaseException:
            self.close()
            raise
        self.databases = Databases(self.source, options)

    def _keep(self, server):
        self.servers.append(server)
        return server

    def close(self):
        for server in self.servers:
            server.stop()

    def renew_target(self):
        """An empty server: one that has dropped thousands of collections keeps their files open until it dies of it."""
        self.servers.remove(self.target)
        self.target.stop()
        self.target = self._keep(Mongod(self.mongod, self.home / "target"))

    @functools.cached_property
    def s3(self):
        program = s3.s3_server(self.repository, self.cache)
        return self._keep(s3.S3(program, self.home / "s3"))

    @functools.cached_property
    def aws(self):
        return s3.aws_command(self.cache)

    def forget(self, db):
        """Removes a database that no other case needs, from both servers."""
        for server in (self.source, self.target):
            server.client.drop_database(db)

    def archive(self, program, data, gzip=True):
        """Where the archive of this program is to be."""
        return self.home / f"{program}-{data.db}{'.gz' if gzip else ''}.archive"

    def dump(self, program, data, place, *flags, **how):
        """A measured dump, which must have found every document."""
        command = [self.ours, "dump"] if program == OURS else [self.tools / "mongodump"]
        how.setdefault("servers", [self.source])
        sample = run([*command, f"--uri={self.source.uri}", f"--db={data.db}", f"--archive={place}", *flags], **how)
        return self.dumped(sample, data, place)

    @staticmethod
    def dumped(sample, data, place):
        found = dumped_documents(sample.log)
        if found != data.documents:
            raise Broken(f"{found} documents dumped instead of {data.documents}:\n{sample.log[-2000:]}")
        if pathlib.Path(place).is_file():
            sample.size = pathlib.Path(place).stat().st_size
        return sample

    def restore(self, program, data, place, *flags, gzip=True, **how):
        """A measured restore with --drop, after which the target must have as many documents as the source."""
        command = [self.ours, "restore"] if program == OURS else [self.tools / "mongorestore", *(["--gzip"] if gzip else [])]
        self.target.mark(data.db)
        self.target.settle()
        sample = run([*command, f"--uri={self.target.uri}", "--drop", f"--archive={place}", *flags],
                     servers=[self.target], **how)
        counts = self.target.counts(data.db)
        if counts != data.counts:
            wrong = {name: (counts.get(name), count) for name, count in data.counts.items() if counts.get(name) != count}
            raise Broken(f"restored, wanted: {dict(list(wrong.items())[:5])}:\n{sample.log[-2000:]}")
        return sample

    def check_target(self, data, what):
        """Every document is there, byte by byte."""
        found = self.target.fingerprint(data.db)
        if found != data.fingerprint:
            wrong = [name for name, expected in data.fingerprint.items() if found.get(name) != expected]
            raise Broken(f"{what}: documents differ in {', '.join(wrong[:5]) or 'collections that should not be there'}")

    def prove(self, data, place, by, gzip=True, **how):
        """Restores an archive, uncounted, and compares what came back."""
        say(f"restoring {pathlib.Path(str(place)).name} with {by}, to compare")
        self.restore(by, data, place, gzip=gzip, **how)
        self.check_target(data, f"{place} restored by {by}")

    def exchange(self, data, gzip=True):
        """Proves the archive of either program by restoring it with the other."""
        for program, other in ((OURS, OFFICIAL), (OFFICIAL, OURS)):
            self.prove(data, self.archive(program, data, gzip), other, gzip=gzip)

    def gzip_archive(self, program, data):
        """The archive of this program, made now if no case has made it."""
        place = self.archive(program, data)
        if not place.exists():
            self.dump(program, data, place, "--gzip")
        return place

    def dump_pairs(self, data, *flags, runs=None, warm=True):
        """Dumps to files in turn."""
        gzip = "--gzip" in flags
        return self.pairs(*(functools.partial(self.dump, program, data, self.archive(program, data, gzip), *flags)
                            for program in (OURS, OFFICIAL)), runs=runs, warm=warm)

    def restore_pairs(self, data, place, *flags, gzip=True, runs=None, warm=True, renew=False):
        """Restores of one archive in turn, the first of each program compared with the source; flags are mongorestore's."""
        checked = set()

        def restore(program):
            if renew:
                self.renew_target()
            sample = self.restore(program, data, place, *(flags if program == OFFICIAL else ()), gzip=gzip)
            if program not in checked:
                checked.add(program)
                self.check_target(data, f"{place} restored by {program}")
            return sample

        return self.pairs(lambda: restore(OURS), lambda: restore(OFFICIAL), runs=runs, warm=warm)

    def pairs(self, ours, theirs, runs=None, warm=True):
        """Runs both in turn, every second time theirs first, after one uncounted run of each."""
        if warm:
            ours(), theirs()
        pairs = []
        for number in range(runs or self.options.runs):
            if number % 2:
                right = theirs()
                pairs.append((ours(), right))
            else:
                left = ours()
                pairs.append((left, theirs()))
        return pairs


def dumped_documents(log):
    """The number in our last line, or the sum over mongodump's lines."""
    total = re.search(r"\tdumped (\d+) document\(s\)", log)
    return int(total[1]) if total else sum(map(int, re.findall(r"\((\d+) documents?\)", log)))
