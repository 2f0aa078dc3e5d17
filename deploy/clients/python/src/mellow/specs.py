"""Run and evaluation files, as files or as dicts, with overrides and absolute paths: the services and programs that read them have other folders."""
from __future__ import annotations

import copy
import difflib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from mellow import names
from mellow._proto import run_spec_pb2
from mellow.connection import Path
from mellow.errors import SpecError

Spec = Path | Mapping[str, Any]


def read(spec: Spec) -> tuple[dict[str, Any], pathlib.Path, str]:
    """A file or dict as a dict, the folder that its relative paths are relative to (of a dict: the current one), and what to call it in errors."""
    if isinstance(spec, Mapping):
        return copy.deepcopy(dict(spec)), pathlib.Path.cwd(), "dict"
    file = pathlib.Path(spec)
    try:
        data = json.loads(file.read_text())
    except OSError as error:
        raise SpecError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise SpecError(f"{file}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise SpecError(f"{file}: not a JSON object")
    return data, file.parent.absolute(), str(file)


def nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """{"ppo.batch_size": 8} as {"ppo": {"batch_size": 8}}. SpecError for a field that is both a value and something with fields."""
    tree: dict[str, Any] = {}
    for path, value in overrides.items():
        *parents, last = path.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise SpecError(f"override {path}: {parent} is a value already")
        place[last] = value
    return tree


def _check_fields(data: Mapping[str, Any], message: Any, path: str = "") -> None:
    """SpecError for a name that is no field of the message's descriptor, as the program words it."""
    for name, value in data.items():
        field = message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)
        if field is None:
            near = difflib.get_close_matches(name, list(message.fields_by_name), 1)
            raise SpecError(f"{path}{name}: no such field" + (f' (did you mean "{near[0]}"?)' if near else ""))
        if field.message_type is not None and isinstance(value, Mapping):
            _check_fields(value, field.message_type, f"{path}{name}.")


def _merge(data: dict[str, Any], message: run_spec_pb2.RunSpec, name: str) -> None:
    try:
        _check_fields(data, message.DESCRIPTOR)
        json_format.ParseDict(data, message)
    except (SpecError, json_format.ParseError) as error:
        raise SpecError(f"{name}: {error}") from error


def _make_absolute(spec: run_spec_pb2.RunSpec, folder: pathlib.Path) -> None:
    ppo = [(spec.data, "path"), (spec, "start_adapter"), (spec.ppo, "value_head_file")]
    supervised = [(spec.sft.data, "path"), (spec.sft.data, "dev_path"), (spec.sft, "start_adapter")]
    for message, field in ppo + supervised:
        path = getattr(message, field)
        if path and not pathlib.Path(path).is_absolute():
            setattr(message, field, str((folder / path).resolve()))


def run_spec(spec: Spec, overrides: Mapping[str, Any], part: str = "") -> run_spec_pb2.RunSpec:
    """A run file (proto JSON, deploy/runs/README.md) or a dict of the same form, with overrides ("ppo.batch_size": 8; None clears a field).

    With a `part` ("sft") the file or dict may also be that field of a run file alone; the overrides are then of it as well.

    Relative paths in a file are relative to the file, those of a dict or an override to the current folder; adapters of the Hub must be given by
    their folder. SpecError names the file and the field.
    """
    data, folder, name = read(spec)
    changes = nested(overrides)
    if part and part not in data:
        data, changes = {part: data}, {part: changes}
    message = run_spec_pb2.RunSpec()
    _merge(data, message, name)
    _make_absolute(message, folder)
    _merge(changes, message, "overrides")
    _make_absolute(message, pathlib.Path.cwd())
    if not message.name:
        message.name = message.sft.name or ("run" if isinstance(spec, Mapping) else pathlib.Path(spec).stem)
    if message.HasField("sft") and not message.sft.name:
        message.sft.name = message.name
    return message


def start_from(spec: run_spec_pb2.RunSpec, folder: str) -> None:
    """Makes the run start from an adapter's folder, as the learner sees it, which brings its own shape."""
    if spec.HasField("sft"):
        spec.sft.start_adapter = folder
        spec.sft.ClearField("lora")
    else:
        spec.start_adapter = folder
        if spec.HasField("ppo"):
            spec.ppo.ClearField("lora")


def evaluation_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A dict that says what an evaluation file says, with paths that are true anywhere: data.path, and the models and arms that exist here."""
    data, folder, _ = read(spec)

    def absolute(path: str) -> str:
        return str(folder / path) if (folder / path).exists() else path

    data.setdefault("name", "evaluation")
    if isinstance(data.get("data"), dict) and "path" in data["data"]:
        data["data"]["path"] = str(folder / data["data"]["path"])
    if "policy_model" in data:
        data["policy_model"] = absolute(data["policy_model"])
    for judge in [data.get("reward"), *data.get("judges", [])]:
        if isinstance(judge, dict) and "model" in judge:
            judge["model"] = absolute(judge["model"])
    words = ("base", "start", "newest", "champion")
    arms = [str(arm) for arm in data.get("arms", [])]
    data["arms"] = [arm if arm in words or arm.isdecimal() or names.step_name(arm) else absolute(arm) for arm in arms]
    return data
