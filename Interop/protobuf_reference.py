#!/usr/bin/env python3
"""Reads messages with Python's protobuf, for Tests/DifferentialTests.

protobuf_reference.py MESSAGE: names a message of messages.proto. Batches come on standard input: the number of bytes that follow (4 bytes, little
endian, as all numbers here), then each message behind its length. The answer is the same: for each message its known fields
written anew, behind their length, or the length 0xffffffff for what protobuf does not read.
"""
import pathlib
import re
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from google.protobuf.internal import api_implementation

REFUSED = 0xFFFFFFFF
TYPES = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, "TYPE_" + name.upper())
    for name in ("bytes", "string", "bool", "uint32", "uint64", "int64")
}
LABELS = {
    "optional": descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    "repeated": descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
}


def parse(text):
    """The descriptor of a .proto file that has messages, fields and oneofs, and nothing else."""
    tokens = re.findall(r'"[^"]*"|[\w.]+|[{}=;]', re.sub(r"//.*", "", text))
    file = descriptor_pb2.FileDescriptorProto(name="messages.proto", package="reference")
    position = 0

    def take(expected=None):
        nonlocal position
        token = tokens[position]
        if expected not in (None, token):
            raise SyntaxError(f"{token} where {expected} belongs")
        position += 1
        return token

    def field(owner, label, kind):
        made = owner.field.add(name=take(), label=label)
        take("=")
        made.number = int(take())
        take(";")
        if kind in TYPES:
            made.type = TYPES[kind]
        else:
            # The pool looks for the name outwards from the message, as protoc does.
            made.type_name = kind
            made.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        return made

    def body(owner):
        take("{")
        while (token := take()) != "}":
            if token == "message":
                inner = owner.nested_type.add(name=take())
                body(inner)
            elif token == "oneof":
                index = len(owner.oneof_decl)
                owner.oneof_decl.add(name=take())
                take("{")
                while (kind := take()) != "}":
                    field(owner, LABELS["optional"], kind).oneof_index = index
            else:
                field(owner, LABELS[token], take())

    take("syntax")
    take("=")
    file.syntax = take().strip('"')
    take(";")
    while position < len(tokens):
        take("message")
        body(file.message_type.add(name=take()))
    return file


def main():
    if api_implementation.Type() == "python":
        sys.exit("protobuf runs in pure Python here: install a wheel with its compiled part")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(parse((pathlib.Path(__file__).parent / "messages.proto").read_text()))
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("reference." + sys.argv[1]))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    word = struct.Struct("<I")
    while head := source.read(4):
        batch = source.read(word.unpack(head)[0])
        answers, offset = [], 0
        while offset < len(batch):
            (count,) = word.unpack_from(batch, offset)
            offset += 4 + count
            try:
                read = kind.FromString(batch[offset - count:offset])
            except message.DecodeError:
                answers.append(word.pack(REFUSED))
                continue
            read.DiscardUnknownFields()
            written = read.SerializeToString(deterministic=True)
            answers += (word.pack(len(written)), written)
        answer = b"".join(answers)
        sink.write(word.pack(len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    main()
