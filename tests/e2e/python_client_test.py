#!/usr/bin/env python3
"""deploy/clients/python: the package as pip installs it from its sdist, against clusters with and without TLS, and its notebook.

Skipped where pip reaches no registry. The tests run in a virtual environment of their own: this file makes it and then runs itself in there.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import harness

PACKAGE = harness.SOURCE / "deploy/clients/python"
# What the tests need besides the package. What finds fault with types does so by its version.
TOOLS = ["alembic", "build", "grpcio-tools", "ipykernel", "mlflow-skinny", "mypy==2.4.1", "nbclient", "pandas", "sqlalchemy", "tensorboard",
         "types-grpcio==1.85.0.20261028", "types-protobuf==7.35.1.20260906"]


def outside():
    """Makes the environment, runs this file in it, and returns the exit code."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mellow-python."))
    try:
        python = folder / "venv/bin/python"
        made = subprocess.run([sys.executable, "-m", "venv", folder / "venv"], capture_output=True, text=True, timeout=300)
        if made.returncode != 0:
            print(f"skipped: Python makes no virtual environment: {made.stdout[-300:]}")
            return 77
        required = re.search(r"^requires = \[(.*)\]", (PACKAGE / "pyproject.toml").read_text(), re.MULTILINE).group(1)
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        for command in ([*pip, "download", "-q", "--no-deps", "-d", folder / "wheels", *re.findall(r'"([^"]+)"', required)], [*pip, "install", "-q", *TOOLS]):
            reached = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if reached.returncode != 0:
                print(f"skipped: pip cannot get what the Python client needs: {reached.stderr[-300:]}")
                return 77
        version = re.search(r'^version = "(.*)"', (PACKAGE / "pyproject.toml").read_text(), re.MULTILINE).group(1)
        for command in ([python, "-m", "build", "--sdist", "--outdir", folder, PACKAGE], [*pip, "install", "-q", folder / f"mellow-{version}.tar.gz"]):
            built = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if built.returncode != 0:
                print(f"{command}: {built.stdout[-2000:]}\n{built.stderr[-2000:]}")
                return 1
        environment = {**os.environ, "MELLOW_PYTHON_CLIENT": str(folder), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "jupyter")}
        return subprocess.run([python, "-B", __file__, *sys.argv[1:]], env=environment).returncode
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if "MELLOW_PYTHON_CLIENT" not in os.environ:
        sys.exit(outside())
    from python_client.cluster import ClusterTest, SecureTest  # noqa: F401
    from python_client.files import FilesTest  # noqa: F401
    from python_client.runs import RunsTest  # noqa: F401
    from python_client.transport import TransportTest  # noqa: F401
    harness.main()
