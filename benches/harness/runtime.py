"""From exec to the first poll: the start of the Lambda binary under a runtime API that only looks at the clock."""

import os
import pathlib
import re
import socket
import subprocess
import time

from .process import Broken, Sample


def start(program):
    """Starts the function, and ends it when it asks for its first invocation."""
    with socket.create_server(("127.0.0.1", 0)) as api:
        api.settimeout(10)
        environment = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.getsockname()[1]}", "AWS_LAMBDA_FUNCTION_NAME": "mongoark",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark",
            "BUCKET_NAME": "archives", "MONGO_URI_SECRET_ID": "benchmark", "PATH": os.environ["PATH"],
        }
        began = time.monotonic()
        function = subprocess.Popen([program], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            connection, _ = api.accept()
            with connection:
                connection.settimeout(10)
                request = b""
                while b"\r\n\r\n" not in request:
                    received = connection.recv(4096)
                    if not received:
                        raise Broken(f"the function hung up: {request!r}")
                    request += received
                wall = time.monotonic() - began
                status = pathlib.Path(f"/proc/{function.pid}/status").read_text()
        except TimeoutError:
            raise Broken(f"{program} asked for no invocation in 10 seconds") from None
        finally:
            function.kill()
            _, _, usage = os.wait4(function.pid, 0)
            function.returncode = 0
    if not request.startswith(b"GET /2018-06-01/runtime/invocation/next "):
        raise Broken(f"the first request was {request.splitlines()[0]!r}")
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
    return Sample(wall, usage.ru_utime + usage.ru_stime, peak)
