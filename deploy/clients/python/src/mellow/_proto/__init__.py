"""The messages of proto/, in a descriptor pool of their own.

The modules `*_pb2` beside this one are made when the package is built. Stubs that a user makes from the same files register with protobuf's
default pool, under the same names; those here never meet them.
"""
from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper


def _fill() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    data = resources.files(__name__).joinpath("mellow.desc").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _fill()


def load(file: str, module: dict[str, Any]) -> None:
    """Puts the messages and enumerations of a proto file into a module's namespace, as a generated module has them."""
    descriptor = POOL.FindFileByName(file)
    module["DESCRIPTOR"] = descriptor
    for name, message in descriptor.message_types_by_name.items():
        module[name] = message_factory.GetMessageClass(message)
    for name, enum in descriptor.enum_types_by_name.items():
        module[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        module.update((value.name, value.number) for value in enum.values)
