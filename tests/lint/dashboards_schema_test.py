#!/usr/bin/env python3
"""The dashboards against Grafana's published schema, as its foundation SDK has it: every field exists there, and has a value of its type.

usage: dashboards_schema_test.py ROOT     ends with 77 (skipped) when pip cannot get the SDK.

The SDK (Apache 2.0, without dependencies) is kept in MELLOW_CACHE (default: ~/.cache/mellow). Its version is that of the Grafana in docker-compose.yml.
"""
import enum
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types
import typing

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
CACHE = pathlib.Path(os.environ.get("MELLOW_CACHE") or pathlib.Path.home() / ".cache/mellow")
GRAFANA = "11.2.0"
SDK = f"grafana-foundation-sdk==1769699630!{GRAFANA}"
SHA256 = "9b2b386fb125cd973a0ecf55f7cd5144a7baa1982df3cf48f56797e6282eb276"
MODELS = "grafana_foundation_sdk.models."
# The schema leaves to a data source what it wants of an annotation; Prometheus' takes these.
OF_THE_DATA_SOURCE = re.compile(r"\w+\.annotations\.list\[\d+\]\.(titleFormat|textFormat)")


def sdk():
    """The folder to import the SDK from; None and the reason in words when it is not to be had."""
    folder = CACHE / "deps-1" / f"grafana-foundation-sdk-{GRAFANA}"
    if folder.is_dir():
        return folder, ""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".grafana.") as work:
        requirements = pathlib.Path(work) / "requirements.txt"
        requirements.write_text(f"{SDK} --hash=sha256:{SHA256}\n")
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes",
                   "--root-user-action=ignore", "--target", f"{work}/sdk", "-r", str(requirements)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            return None, result.stderr.strip()[-300:]
        # When two fetch it at once, the first one's stays.
        if not folder.exists():
            shutil.move(f"{work}/sdk", folder)
    return folder, ""


def is_model(value):
    return type(value).__module__.startswith(MODELS)


def accepts(hint, value):
    """Whether a value read from JSON is of this type; models are looked into by wrong_values."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(accepts(one, value) for one in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(accepts(typing.get_args(hint)[0], one) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(accepts(typing.get_args(hint)[1], one) for one in value.values())
    if hint in (typing.Any, object):
        return True
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if getattr(hint, "__module__", "").startswith(MODELS) and isinstance(value, dict):
        # Some lists stay as they were read.
        read = hint.from_json(value)
        return not [*wrong_values("", read), *unknown_fields("", value, written(read))]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [one.value for one in hint]
    return isinstance(value, hint)


def written(value):
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    return json.loads(json.dumps(value, cls=JSONEncoder))


def wrong_values(where, value):
    if isinstance(value, list):
        for i, one in enumerate(value):
            yield from wrong_values(f"{where}[{i}]", one)
    elif is_model(value):
        for name, hint in typing.get_type_hints(type(value)).items():
            one = getattr(value, name)
            if accepts(hint, one):
                yield from wrong_values(f"{where}.{name}", one)
            else:
                yield f"{where}.{name}: {one!r} is not of the type {hint}"


def unknown_fields(where, ours, theirs):
    """What the schema's reader has left out of our JSON: it knows no such field."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            # A field that is null is one that is not there.
            if key in theirs:
                yield from unknown_fields(f"{where}.{key}", value, theirs[key])
            elif value is not None and not OF_THE_DATA_SOURCE.fullmatch(f"{where}.{key}"):
                yield f"{where}.{key}: there is no such field"
    elif isinstance(ours, list) and isinstance(theirs, list):
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from unknown_fields(f"{where}[{i}]", one, other)
    elif ours != theirs:
        yield f"{where}: {ours!r} is read as {theirs!r}"


def breaches_of(name, board):
    from grafana_foundation_sdk.models.dashboard import Dashboard
    try:
        read = Dashboard.from_json(board)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"{name}: cannot be read: {error!r}"]
    return [*wrong_values(name, read), *unknown_fields(name, board, written(read))]


def check_itself(board):
    """A field too many and a value of another type are found, wherever they are: else silence below means nothing."""
    panel = next(i for i, panel in enumerate(board["panels"]) if panel["type"] == "timeseries")
    for path, value in ((("titel",), "x"), (("panels", panel, "gridPos", "h"), "8"), (("panels", panel, "targets", 0, "expression"), "x"),
                        (("panels", panel, "fieldConfig", "defaults", "custom", "showPoints"), "sometimes"), (("panels", panel, "options", "tooltip", "mode"), 1),
                        (("templating", "list", 0, "type"), "database")):
        broken = json.loads(json.dumps(board))
        at = broken
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        assert breaches_of("itself", broken), f"{path} = {value!r} was not found"


def main():
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    if re.search(r"grafana/grafana:([\d.]+)", compose)[1] != GRAFANA:
        print(f"docker-compose.yml has another Grafana than {GRAFANA}, whose schema is looked at here")
        return 1
    folder, reason = sdk()
    if folder is None:
        print(f"skipped: pip cannot get {SDK}: {reason}")
        return 77
    sys.path.insert(0, str(folder))
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    register_default_plugins()
    boards = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))}
    assert boards, "no dashboards"
    check_itself(boards["training"])
    breaches = [breach for name, board in boards.items() for breach in breaches_of(name, board)]
    print("\n".join(breaches) or f"{len(boards)} dashboards are of the schema of Grafana {GRAFANA}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
