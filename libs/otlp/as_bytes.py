"""The messages of OTLP with bytes in the place of strings: they parse where a string is not UTF-8.

Nothing else differs, so such a message is written again exactly as it was read.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_POOL: Final = DescriptorPool()


@cache
def with_bytes(kind: Any) -> Any:
    """Return the class that reads what `kind` reads, its strings as bytes."""
    _add(kind.DESCRIPTOR.file)
    return GetMessageClass(_POOL.FindMessageTypeByName(kind.DESCRIPTOR.full_name))


@cache
def was_string(field: FieldDescriptor) -> bool:
    """Tell whether a field is a string in the messages proper."""
    return Default().FindFieldByName(field.full_name).type == FieldDescriptor.TYPE_STRING


@cache
def _add(file: FileDescriptor) -> None:
    for dependency in file.dependencies:
        _add(dependency)
    copy = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(copy)
    for message in copy.message_type:
        _change(message)
    _POOL.AddSerializedFile(copy.SerializeToString())


def _change(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING:
            field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    for inside in message.nested_type:
        _change(inside)
