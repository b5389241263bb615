"""One measured run of a program."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

# Whose run it is.
OURS, OFFICIAL = "mongoark", "official"
METER = pathlib.Path(__file__).with_name("meter.py")


class Broken(Exception):
    """A run that did not do what it should have done."""


@dataclasses.dataclass
class Sample:
    """What one run cost: seconds of the clock, of the processor, MiB of memory at most.

    `server` are the processor seconds that the servers used meanwhile, `size` the bytes of the archive written.
    """

    wall: float
    cpu: float
    peak_mib: float
    server: float = 0.0
    size: int | None = None
    log: str = dataclasses.field(default="", repr=False)


def run(*commands, servers=(), environment=None, cores=None):
    """Runs a command, or several as a pipeline, of which every one must end well."""
    commands = [[str(part) for part in command] for command in commands]
    with tempfile.TemporaryDirectory() as folder:
        logs = [os.path.join(folder, str(number)) for number in range(len(commands))]
        before = sum(server.cpu() for server in servers)
        # A group of its own, so that nothing of a pipeline outlives an interrupted benchmark.
        meter = subprocess.Popen([sys.executable, "-I", "-S", METER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env=os.environ | (environment or {}), start_new_session=True)
        try:
            order = {"commands": commands, "logs": logs, "cores": cores}
            answer, _ = meter.communicate(json.dumps(order).encode())
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(meter.pid, signal.SIGKILL)
            meter.wait()
            raise
        after = sum(server.cpu() for server in servers)
        log = "".join(pathlib.Path(path).read_text(errors="replace") for path in logs if os.path.exists(path))
    if meter.returncode != 0:
        raise Broken(f"{commands[0][0]} could not be run")
    cost = json.loads(answer)
    if any(cost["codes"]):
        raise Broken(f"exit codes {cost['codes']} of {' | '.join(' '.join(c[:2]) for c in commands)}:\n{log[-2000:]}")
    return Sample(cost["wall"], cost["cpu"], cost["peak_mib"], after - before, log=log)


def say(line):
    """Progress, which is not part of the table."""
    print(f"benches/compare: {line}", file=sys.stderr, flush=True)
