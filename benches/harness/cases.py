"""The cases. Each is a function of the bench that returns rows; its first line is its description."""

import functools
import os

from . import runtime
from .process import OFFICIAL, OURS, Broken, run
from .report import alone, at_most, compared, faster, figure
from .server import kept_on

CASES = {}
# From this size on one run has to be enough, because it takes minutes.
ONCE_FROM_GB = 4
LAMBDA_STARTS = 20
# Entries of the oplog that is replayed.
REPLAYED = 200_000


def case(name, default=True):
    def register(function):
        function.default = default
        CASES[name] = function
        return function
    return register


def two_cores():
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise Broken("this takes two cores")
    return cores


def fewer_runs(bench, gigabytes):
    """How often and whether after a warm-up, where the size is what matters."""
    once = gigabytes >= ONCE_FROM_GB
    return {"runs": 1 if once else min(bench.options.runs, 3), "warm": not once}


@case("two")
def two(bench):
    """dump --gzip of two collections to files"""
    return dump_gzip(bench, "two", "dump --gzip, two collections", bench.databases.two)


@case("one")
def one(bench):
    """dump --gzip of one collection to files"""
    return dump_gzip(bench, "one", "dump --gzip, one collection", bench.databases.one)


def dump_gzip(bench, name, title, data):
    pairs = bench.dump_pairs(data, "--gzip")
    bench.exchange(data)
    return [compared(name, title, data, pairs, faster(4.0), at_most("size", 1.05), at_most("cpu", 0.45))]


@case("plain")
def plain(bench):
    """dump without gzip to /dev/null; that it would be right is proven with files"""
    data = bench.databases.one
    for program in (OURS, OFFICIAL):
        bench.dump(program, data, bench.archive(program, data, gzip=False))
    bench.exchange(data, gzip=False)
    for program in (OURS, OFFICIAL):
        bench.archive(program, data, gzip=False).unlink()
    pairs = bench.pairs(*(functools.partial(bench.dump, program, data, "/dev/null") for program in (OURS, OFFICIAL)))
    return [compared("plain", "dump to /dev/null", data, pairs, faster(1.8))]


@case("snapshot")
def snapshot(bench):
    """mongoark at one cluster time against mongoark without, dump and dump --gzip"""
    data, rows = bench.databases.one, []
    for flags, place in ((["--gzip"], bench.archive("snapshot", data)), ([], "/dev/null")):
        at_once, one_by_one = (functools.partial(bench.dump, OURS, data, place, f"--snapshot={mode}", *flags)
                               for mode in ("required", "off"))
        title = f"dump {' '.join(flags)}, --snapshot required / off"
        rows.append(compared("snapshot", title, data, bench.pairs(at_once, one_by_one), faster(0.97)))
    place = bench.archive("snapshot", data)
    bench.dump(OURS, data, place, "--snapshot=required", "--gzip")
    bench.prove(data, place, OFFICIAL)
    place.unlink()
    return rows


@case("s3")
def s3(bench):
    """dump --gzip to S3 against mongodump | aws s3 cp, and against mongoark to a file, also on a core without the servers"""
    data, store = bench.databases.one, bench.s3
    aws, aws_environment = bench.aws
    environment = store.environment | aws_environment
    servers = [bench.source, store]

    def ours(**how):
        store.path(OURS).unlink(missing_ok=True)
        sample = bench.dump(OURS, data, store.url(OURS), "--gzip", environment=environment, servers=servers, **how)
        sample.size = store.path(OURS).stat().st_size
        return sample

    def theirs():
        store.path(OFFICIAL).unlink(missing_ok=True)
        dump = [bench.tools / "mongodump", f"--uri={bench.source.uri}", f"--db={data.db}", "--gzip", "--archive"]
        upload = [*aws, "s3", "cp", "-", store.url(OFFICIAL), "--only-show-errors"]
        return bench.dumped(run(dump, upload, environment=environment, servers=servers), data, store.path(OFFICIAL))

    def to_file(**how):
        return bench.dump(OURS, data, bench.archive(OURS, data), "--gzip", servers=servers, **how)

    # Three in turn: in every round, S3 has a neighbour of either kind.
    files = []

    def ours_and_file():
        sample = ours()
        files.append((sample, to_file()))
        return sample

    pairs = bench.pairs(ours_and_file, theirs)
    rows = [compared("s3", "dump --gzip to S3 / mongodump | aws s3 cp", data, pairs, faster(4.0)),
            compared("s3", "dump --gzip to S3 / mongoark to a file", data, files[1:], faster(1 / 1.1))]
    first, *others = two_cores()
    with kept_on(others, servers):
        apart = bench.pairs(functools.partial(ours, cores=[first]), functools.partial(to_file, cores=[first]))
    rows.append(compared("s3", "the same, the servers on the other core", data, apart, faster(1 / 1.1)))
    bench.prove(data, store.path(OURS), OFFICIAL)
    bench.prove(data, store.url(OFFICIAL), OURS, environment=environment)
    return rows


@case("restore")
def restore(bench):
    """restore --drop of mongoark's gzip archive, against mongorestore's defaults"""
    data = bench.databases.one
    pairs = bench.restore_pairs(data, bench.gzip_archive(OURS, data))
    return [compared("restore", "restore", data, pairs, faster(2.2), at_most("cpu", 0.3))]


@case("restore4")
def restore4(bench):
    """the same against mongorestore with four insertion workers"""
    data = bench.databases.one
    pairs = bench.restore_pairs(data, bench.gzip_archive(OURS, data), "--numInsertionWorkersPerCollection=4")
    return [compared("restore4", "restore, mongorestore with 4 workers", data, pairs, faster(1.5))]


@case("foreign")
def foreign(bench):
    """restore --drop of mongodump's gzip archive, which is one member"""
    data = bench.databases.one
    pairs = bench.restore_pairs(data, bench.gzip_archive(OFFICIAL, data))
    return [compared("foreign", "restore of mongodump's archive", data, pairs, faster(2.0))]


@case("replay")
def replay(bench):
    """restore --oplogReplay of an archive with an oplog of 200,000 entries on two collections"""
    # It takes what only `benches/compare` makes importable.
    from . import oplog

    place = bench.home / "replay.archive"
    counts = oplog.archive(place, REPLAYED)

    def once(program):
        command = [bench.ours, "restore"] if program == OURS else [bench.tools / "mongorestore"]
        bench.target.settle()
        sample = run([*command, f"--uri={bench.target.uri}", "--drop", "--oplogReplay", f"--archive={place}"],
                     servers=[bench.target])
        found = bench.target.counts(oplog.DB)
        if found != counts or f"applied {REPLAYED} oplog entries" not in sample.log:
            raise Broken(f"{found} after the replay, wanted: {counts}:\n{sample.log[-2000:]}")
        found = bench.target.fingerprint(oplog.DB)
        if fingerprints.setdefault("first", found) != found:
            raise Broken("the two programs make different documents of one oplog")
        return sample

    fingerprints = {}
    pairs = bench.pairs(*(functools.partial(once, program) for program in (OURS, OFFICIAL)), runs=1, warm=False)
    bench.forget(oplog.DB)
    place.unlink()
    return [compared("replay", f"replay of {REPLAYED} oplog entries", None, pairs, faster(5.0))]


@case("many")
def many(bench):
    """dump and restore of 3,000 collections of ten documents"""
    data = bench.databases.many
    title = f"{len(data.fingerprint)} collections of 10 documents"
    dumps = bench.dump_pairs(data)
    restores = bench.restore_pairs(data, bench.archive(OURS, data, gzip=False), gzip=False, renew=True)
    bench.renew_target()
    bench.prove(data, bench.archive(OFFICIAL, data, gzip=False), OURS, gzip=False)
    bench.renew_target()
    # Thousands of open tables would slow down every checkpoint from now on.
    bench.forget("many")
    # Without the data: bytes per second say nothing here.
    return [compared("many", f"dump, {title}", None, dumps, faster(8)),
            compared("many", f"restore, {title}", None, restores, faster(1.5))]


@case("large")
def large(bench):
    """dump of documents of 16 MiB; both archives are proven by mongoark, see large-restore"""
    data = bench.databases.large
    pairs = bench.dump_pairs(data)
    for program in (OURS, OFFICIAL):
        bench.prove(data, bench.archive(program, data, gzip=False), OURS, gzip=False)
    return [compared("large", "dump, documents of 16 MiB", data, pairs, faster(1.0), at_most("memory", 1.0))]


@case("large-restore", default=False)
def large_restore(bench):
    """restore of documents of 16 MiB, one run each: mongorestore takes ten seconds a document"""
    # mongorestore 100.18.0 looks for empty timestamps that a server as old as 6.0.5 would replace: from every byte 0x11 to
    # the next nine NULs. That is quadratic in documents without such NULs, as an array of numbers is.
    data = bench.databases.large
    place = bench.archive(OURS, data, gzip=False)
    if not place.exists():
        bench.dump(OURS, data, place)
    pairs = bench.restore_pairs(data, place, gzip=False, runs=1, warm=False)
    return [compared("large-restore", "restore, documents of 16 MiB", data, pairs, faster(50), at_most("memory", 0.4))]


@case("scaling")
def scaling(bench):
    """dump --gzip by mongoark on two cores and on one; mongod has all of them, and less to do at a higher level"""
    data, cores = bench.databases.one, two_cores()
    rows = []
    for flags in (["--gzip"], ["--gzip", "--gzipLevel=9"]):
        both, single = (functools.partial(bench.dump, OURS, data, bench.archive("scaling", data), *flags, cores=pinned)
                        for pinned in (cores, cores[:1]))
        title = f"dump {' '.join(flags)}, mongoark on 2 cores / on 1"
        rows.append(compared("scaling", title, data, bench.pairs(both, single), faster(1.7)))
    bench.prove(data, bench.archive("scaling", data), OFFICIAL)
    bench.archive("scaling", data).unlink()
    return rows


@case("growth", default=False)
def growth(bench):
    """mongoark at growing sizes (--growth): dump --gzip, dump and restore; MB/s and peak memory"""
    samples = {"dump --gzip": [], "dump": [], "restore": []}
    rows = []
    for gigabytes in sorted(bench.options.growth):
        data = bench.databases.grown(gigabytes)
        place = bench.archive(OURS, data)
        steps = {
            "dump --gzip": functools.partial(bench.dump, OURS, data, place, "--gzip"),
            "dump": functools.partial(bench.dump, OURS, data, "/dev/null"),
            "restore": functools.partial(bench.restore, OURS, data, place),
        }
        for step, once in steps.items():
            row = alone("growth", f"growth: {step}, {gigabytes:g} GB", data, repeated(once, **fewer_runs(bench, gigabytes)))
            samples[step].append(row.ours["mb_per_s"])
            rows.append(row)
        bench.check_target(data, f"{gigabytes:g} GB restored")
    rows += [figure("growth", f"growth: {step}, highest / lowest MB/s", "spread", max(speeds) / min(speeds),
                    at_most("spread", 1.15)) for step, speeds in samples.items()]
    return rows


def repeated(once, runs, warm):
    if warm:
        once()
    return [once() for _ in range(runs)]


@case("memory")
def memory(bench):
    """peak memory of both programs at several sizes (--memory): dump --gzip and restore"""
    rows, peaks = [], {"dump --gzip": [], "restore": []}
    for gigabytes in sorted(bench.options.memory):
        data, how = bench.databases.grown(gigabytes), fewer_runs(bench, gigabytes)
        pairs = {"dump --gzip": bench.dump_pairs(data, "--gzip", **how),
                 "restore": bench.restore_pairs(data, bench.archive(OURS, data), **how)}
        bench.prove(data, bench.archive(OFFICIAL, data), OURS)
        for step, most in (("dump --gzip", 0.6), ("restore", 0.8)):
            row = compared("memory", f"memory: {step}, {gigabytes:g} GB", data, pairs[step], at_most("memory", most))
            peaks[step].append(row.ours["peak_mib"])
            rows.append(row)
    # Flat: what the allocator and the timing of one run leave to chance.
    rows += [figure("memory", f"memory: {step}, mongoark's peak, largest / smallest size", "growth", values[-1] / values[0],
                    at_most("growth", 1.15)) for step, values in peaks.items()]
    return rows


@case("lambda")
def start_of_the_function(bench):
    """from exec of the Lambda binary to its first request for an invocation, median of 20 starts; and the zip (--zip)"""
    program = bench.options.function or bench.ours.with_name("mongoark-lambda")
    if not program.exists():
        raise Broken(f"no {program}: name it with --lambda")
    samples = repeated(lambda: runtime.start(program), LAMBDA_STARTS, warm=True)
    for sample in samples:
        sample.size = program.stat().st_size
    rows = [alone("lambda", "Lambda: exec to the first poll", None, samples, at_most("seconds", 0.030))]
    if bench.options.zip:
        size = bench.options.zip.stat().st_size / 1e6
        rows.append(figure("lambda", "Lambda: zip, MB", "MB", size, at_most("MB", 12)))
    return rows
