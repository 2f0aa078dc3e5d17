#!/usr/bin/env python3
"""Every C++ file is as clang-format 14 writes it (.clang-format).

usage: format_test.py ROOT     prints the first difference of each file; ends with 77 (skipped) where there is no clang-format 14.
"""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1]).resolve()


def main():
    program = shutil.which("clang-format-14")
    if program is None:
        print("skipped: no clang-format-14 (deploy/setup.sh --tools)")
        return 77
    files = [path for folder in ("common", "services", "tests") for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".h", ".cc")]
    assert files, f"no sources below {ROOT}"
    result = subprocess.run([program, "--dry-run", "--Werror", "--ferror-limit=1", *files], capture_output=True, text=True)
    print(result.stderr or f"{len(files)} files are formatted")
    return 1 if result.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
