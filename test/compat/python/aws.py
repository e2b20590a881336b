"""Runs commands of the AWS CLI in one process, since starting takes most of its time.

Reads a JSON list of arguments a line; answers each with its status, what it printed and what it complained of.
"""

import contextlib
import importlib
import io
import json
import sys
import time

from awscli.clidriver import create_clidriver

try:
    waiter = importlib.import_module("awscli.botocore.waiter")  # the CLI's own, since version 2
except ImportError:
    waiter = importlib.import_module("botocore.waiter")


class Quick:
    """Has waiters ask often at first: the forty times of each take minutes all the same."""

    waits = 0

    @classmethod
    def sleep(cls, seconds):
        time.sleep(min(seconds, 0.1 * 1.2**cls.waits))
        cls.waits += 1


waiter.time = Quick
driver = create_clidriver()

for line in sys.stdin:
    Quick.waits = 0
    arguments = json.loads(line)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = driver.main(arguments)
        except SystemExit as e:
            status = e.code
    print(json.dumps({"status": status or 0, "out": out.getvalue(), "err": err.getvalue().strip()}), flush=True)
    if arguments[1].startswith("modify-") and arguments[1].endswith("-attribute"):
        driver = create_clidriver()  # what the CLI adds to these commands gets in the way of all later ones
