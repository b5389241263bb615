"""Runs a program, or several as a pipeline, and writes as JSON what they cost. Started by process.py, never imported.

It is a small program of its own because Linux lets the peak memory of a process begin with that of whoever started it.
"""

import json
import os
import subprocess
import sys
import time


def main():
    order = json.load(sys.stdin)
    if order["cores"]:
        os.sched_setaffinity(0, order["cores"])
    os.sync()
    processes = []
    try:
        began = time.monotonic()
        upstream = subprocess.DEVNULL
        for number, (command, log) in enumerate(zip(order["commands"], order["logs"]), 1):
            with open(log, "wb") as errors:
                last = number == len(order["commands"])
                process = subprocess.Popen(command, stdin=upstream, stderr=errors,
                                           stdout=subprocess.DEVNULL if last else subprocess.PIPE)
            if upstream != subprocess.DEVNULL:
                upstream.close()
            upstream = process.stdout
            processes.append(process)
        codes, cpu, peak = [], 0, 0
        for process in processes:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            codes.append(process.returncode)
            cpu += usage.ru_utime + usage.ru_stime
            peak += usage.ru_maxrss
        wall = time.monotonic() - began
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
    json.dump({"codes": codes, "wall": wall, "cpu": cpu, "peak_mib": peak / 1024}, sys.stdout)


main()
