"""The programs that are built here: the client, the floors, and adieu.

Owns: asking cargo for them. Must not: know what they are for.
"""

import json
import os
import subprocess

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCHES = ("load", "floor_mio", "floor_epoll")


def build(names):
    """The paths of these programs by name; "adieu" is one of them."""
    command = ["cargo", "build", "--release", "--locked", "--message-format=json", "--quiet",
               "--manifest-path", os.path.join(PROJECT, "Cargo.toml")]
    for name in names:
        command += ["--bin" if name == "adieu" else "--bench", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            message = json.loads(line)
            if message.get("executable"):
                found[message["target"]["name"]] = message["executable"]
    return found
