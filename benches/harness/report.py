"""Rows of the table: medians of runs, ratios of pairs, and the floors that they are held against."""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess


@dataclasses.dataclass
class Floor:
    """The least or the most that a figure of a row may be."""

    figure: str
    least: float | None = None
    most: float | None = None

    def met(self, value):
        return value >= self.least if self.least is not None else value <= self.most

    def text(self, value):
        sign, limit = ("≥", self.least) if self.least is not None else ("≤", self.most)
        return f"{self.figure} {short(value)} {sign} {short(limit)}: {'met' if self.met(value) else '**missed**'}"


def faster(least):
    return Floor("faster", least=least)


def at_most(figure, most):
    return Floor(figure, most=most)


@dataclasses.dataclass
class Row:
    """One line of the table. `ours` and `other` are medians, `figures` what floors may speak of."""

    case: str
    title: str
    ours: dict
    other: dict | None
    figures: dict
    floors: list
    runs: list

    def verdicts(self):
        return [floor.text(self.figures[floor.figure]) for floor in self.floors]

    def cells(self):
        both = [self.ours, self.other or {}]

        def pair(name, form):
            values = [side.get(name) for side in both if side.get(name) is not None]
            return " / ".join(form(value) for value in values)

        def ratio(name):
            return short(self.figures[name]) if name in self.figures else ""

        return [self.title, pair("wall", short), ratio("faster"), pair("mb_per_s", whole), pair("cpu", short),
                pair("cpu_per_gb", short), ratio("cpu"), pair("peak_mib", whole), ratio("memory"),
                pair("size", lambda size: short(size / 1e6)), ratio("size"), ", ".join(self.verdicts())]

    def json(self):
        floors = [{"figure": floor.figure, "least": floor.least, "most": floor.most,
                   "value": self.figures[floor.figure], "met": floor.met(self.figures[floor.figure])}
                  for floor in self.floors]
        sides = ("ours", "other") if self.other else ("ours",)
        runs = [dict(zip(sides, map(plain, pair))) for pair in self.runs]
        return {"case": self.case, "title": self.title, "ours": self.ours, "other": self.other,
                "figures": self.figures, "floors": floors, "runs": runs}


HEADINGS = ["mongoark / official", "wall, s", "faster", "MB/s", "CPU, s", "CPU, s per GB", "ratio", "peak, MiB", "ratio",
            "archive, MB", "ratio", "floors"]


def compared(case, title, data, pairs, *floors):
    """A row of pairs of runs."""
    ours, other = (medians([pair[side] for pair in pairs], data) for side in (0, 1))
    figures = {
        "faster": statistics.median(b.wall / a.wall for a, b in pairs),
        "cpu": statistics.median(a.cpu / b.cpu for a, b in pairs),
        "memory": statistics.median(a.peak_mib / b.peak_mib for a, b in pairs),
    }
    if "size" in ours and "size" in other:
        figures["size"] = ours["size"] / other["size"]
    return Row(case, title, ours, other, figures, list(floors), pairs)


def alone(case, title, data, samples, *floors):
    """A row of runs of ours only."""
    ours = medians(samples, data)
    return Row(case, title, ours, None, {"seconds": ours["wall"]}, list(floors), [(sample,) for sample in samples])


def figure(case, title, name, value, floor):
    """A row that follows from others."""
    return Row(case, title, {}, None, {name: value}, [floor], [])


def medians(samples, data):
    median = {name: statistics.median(getattr(sample, name) for sample in samples)
              for name in ("wall", "cpu", "peak_mib", "server")}
    sizes = [sample.size for sample in samples if sample.size is not None]
    if sizes:
        median["size"] = statistics.median(sizes)
    if data:
        median |= {"mb_per_s": data.bytes / 1e6 / median["wall"], "cpu_per_gb": median["cpu"] / (data.bytes / 1e9),
                   "documents": data.documents, "bytes": data.bytes}
    return median


def plain(sample):
    return {name: value for name, value in dataclasses.asdict(sample).items() if name != "log"}


def short(value):
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def whole(value):
    return f"{value:.0f}"


def markdown(rows, facts):
    line = "| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|\n"
    body = "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |\n" for row in rows)
    about = "; ".join(f"{name} {value}" for name, value in facts.items())
    return f"{line}{body}\n{about}.\n"


def facts(bench, cases):
    """The date, the machine and the versions."""
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {
        "Date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "CPU": f"{model}, {len(os.sched_getaffinity(0))} cores", "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(), "mongod": bench.source.version(),
        "mongodump": version(bench.tools / "mongodump", "--version"),
        "mongoark": f"{version(bench.ours, '--version')}, {bench.ours.stat().st_size / 1e6:.1f} MB",
        "runs": f"medians of {bench.options.runs}",
    }
    if "s3" in cases:
        command, environment = bench.aws
        found["aws"] = version(*command, "--version", environment=environment)
    return found


def version(*command, environment=None):
    done = subprocess.run([str(part) for part in command], env=os.environ | (environment or {}), capture_output=True,
                          text=True, check=True)
    return done.stdout.splitlines()[0].removeprefix("mongodump version: ").removeprefix("mongoark ").strip()


def save(path, rows, facts, failures, options):
    content = {"facts": facts, "options": {name: str(value) for name, value in vars(options).items()},
               "rows": [row.json() for row in rows], "failures": failures}
    pathlib.Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
