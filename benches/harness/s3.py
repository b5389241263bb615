"""An S3 server in another process (s3s-fs, files in a folder), and the official command line for it."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

from .process import say
from .server import Server, free_port

AWS_CLI = "awscli==1.45.11"
BUCKET = "archives"


class S3(Server):
    """A server with one bucket."""

    def __init__(self, program, home):
        self.bucket = pathlib.Path(home) / BUCKET
        self.bucket.mkdir(parents=True)
        self.port = free_port()
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark-benchmark",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        super().__init__(
            [program, "--host", "127.0.0.1", "--port", str(self.port), "--access-key", "benchmark",
             "--secret-key", "benchmark-benchmark", home],
            home, env=os.environ | {"RUST_LOG": "error"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self):
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    raise RuntimeError("s3s-fs does not start") from None
                time.sleep(0.02)

    def url(self, key):
        return f"s3://{BUCKET}/{key}"

    def path(self, key):
        """The file that an object is kept in."""
        return self.bucket / key


def s3_server(repository, cache):
    """s3s-fs in the version of the workspace, built once."""
    lock = (repository / "Cargo.lock").read_text()
    version = re.search(r'name = "s3s-fs"\nversion = "([^"]+)"', lock)[1]
    home = cache / f"s3s-fs-{version}"
    program = home / "bin" / "s3s-fs"
    if not program.exists():
        say(f"building s3s-fs {version}")
        subprocess.run(["cargo", "install", "--quiet", "s3s-fs", "--version", f"={version}", "--features", "binary",
                        "--locked", "--no-track", "--root", home], check=True)
    return program


def aws_command(cache):
    """The `aws` of PATH, or one installed once, and the environment that it needs."""
    found = shutil.which("aws")
    if found:
        return [found], {}
    home = cache / "aws"
    if not home.exists():
        say(f"fetching {AWS_CLI}")
        subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install",
                        "--target", home, "--only-binary", ":all:", AWS_CLI], check=True, env=os.environ | {"PIP_USER": "0"})
    return [sys.executable, "-m", "awscli"], {"PYTHONPATH": str(home)}
