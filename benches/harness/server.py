"""A server of the benchmark's own, whatever it serves."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess


class Server:
    """A process with its files in a folder; killed and removed by `stop`."""

    def __init__(self, command, home, **how):
        # A session of its own: Ctrl-C is for the benchmark, which stops the server when it no longer needs it.
        self.home = pathlib.Path(home)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **how)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise

    def wait(self):
        """Until it answers; for those who know what they have started."""
        raise NotImplementedError

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def cpu(self):
        """The processor seconds it has used so far, all its threads."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pin(self, cores):
        """Keeps it on these cores; what it starts from now on inherits that."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            # Threads come and go.
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)


@contextlib.contextmanager
def kept_on(cores, servers):
    """Keeps the servers on these cores meanwhile."""
    everything = os.sched_getaffinity(0)
    try:
        for server in servers:
            server.pin(cores)
        yield
    finally:
        for server in servers:
            server.pin(everything)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
