"""Debian's Chromium, driven by playwright-core: where it is, and the tests that need it."""
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
PLAYWRIGHT = next(iter(sorted(pathlib.Path(os.environ["MELLOW_DEPS"]).glob("playwright-core-*/index.js"))), None)
CHROMIUM = shutil.which("chromium")
NODE = shutil.which("node") or shutil.which("nodejs")


def skip_without():
    """Ends with 77 where something is missing."""
    for tool, what in ((NODE, "Node.js"), (CHROMIUM, "Chromium"), (PLAYWRIGHT, "playwright-core")):
        if tool is None:
            print(f"skipped: {what} is not here; deploy/setup.sh --tools brings it")
            sys.exit(77)


def run(script, timeout, **environment):
    """Runs a script of this folder, which takes `chromium` from browser.mjs."""
    env = {**os.environ, "PLAYWRIGHT": str(PLAYWRIGHT), "CHROMIUM": CHROMIUM, **environment}
    subprocess.run([NODE, str(HERE / script)], env=env, check=True, timeout=timeout)
