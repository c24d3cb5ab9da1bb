# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a message description says, independent of any encoding.

A schema file becomes a `Schema`: limits, enums, flags, structs and messages in the order of the
file. The emitters (emit_spice.py, emit_xdr.py) turn it into C++; LANGUAGE.md has the text form.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional as Maybe
from typing import Union as Either

# Width in bytes of each scalar.
SCALARS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8,
           "bool": 1, "f64": 8}


class SchemaError(Exception):
    """One line: file, line number, what is wrong."""


# --- Lengths: where the size of a variable field comes from -------------------------------------

@dataclass(frozen=True)
class LengthPrefix:
    """A scalar directly before the data (or before its offset)."""
    scalar: str


@dataclass(frozen=True)
class LengthOfEncoding:
    """The encoding has one way to write lengths (XDR)."""


@dataclass(frozen=True)
class LengthField:
    """An earlier field of the same struct."""
    name: str


@dataclass(frozen=True)
class LengthRest:
    """Everything up to the end of the message."""


@dataclass(frozen=True)
class LengthImage:
    """Rows of a picture: ((bits * width + 7) / 8) * height bytes; width and height are fields."""
    bits: int
    width: str
    height: str


Length = Either[LengthPrefix, LengthOfEncoding, LengthField, LengthRest, LengthImage]


# --- Types --------------------------------------------------------------------------------------

@dataclass
class Scalar:
    name: str
    maximum: Maybe["Limit"] = None


@dataclass
class Named:
    """An enum, a flag set or a struct; `target` is set once all files are read."""
    name: str
    target: object = None


@dataclass
class FixedBytes:
    size: "Limit"


@dataclass
class Text:
    """Bytes of variable length. kind: 'bytes' (copied), 'string' (text), 'payload' (shared)."""
    kind: str
    length: Length
    limit: "Limit"
    terminated: bool = False


@dataclass
class Array:
    element: "Type"
    length: Length
    limit: "Limit"


@dataclass
class FixedArray:
    element: "Type"
    size: "Limit"


@dataclass
class Optional:
    inner: "Type"


@dataclass
class Offset:
    """The value stands elsewhere in the message; here is a u32 offset from the message's start."""
    inner: "Type"


@dataclass
class UnionCase:
    labels: list[str]  # enum values, integers as text, or ["default"]
    name: str
    type: Maybe["Type"]  # None: void


@dataclass
class Union:
    """One of several types. The discriminant is an earlier field, or stands before the value."""
    on_field: Maybe[str]
    on_type: Maybe["Type"]
    cases: list[UnionCase]


Type = Either[Scalar, Named, FixedBytes, Text, Array, FixedArray, Optional, Offset, Union]


# --- Declarations -------------------------------------------------------------------------------

@dataclass
class Limit:
    """A named bound, or a bare number (name is None)."""
    name: Maybe[str]
    value: int
    doc: str = ""
    schema: Maybe["Schema"] = None


@dataclass
class EnumValue:
    name: str
    number: int
    constant: Maybe[str]  # the name in the peer's own header, for the test that compares numbers
    doc: str = ""


@dataclass
class Enum:
    name: str
    scalar: str
    values: list[EnumValue]
    is_flags: bool
    is_open: bool  # unknown numbers are accepted by readers
    doc: str = ""
    schema: Maybe["Schema"] = None

    def value(self, name):
        return next((value for value in self.values if value.name == name), None)


@dataclass
class Condition:
    """`when FIELD is|is_not|has|lacks LABEL`: the field is on the wire only then."""
    field: str
    test: str
    label: str


@dataclass
class Field:
    name: str
    type: Type
    doc: str = ""
    line: int = 0
    counts: Maybe[str] = None  # this scalar is the length of that later field, not a member
    constant: Maybe[int] = None  # always this number: written, checked, not a member
    condition: Maybe[Condition] = None

    @property
    def is_member(self):
        return self.counts is None and self.constant is None


@dataclass
class Struct:
    name: str
    fields: list[Field]
    doc: str = ""
    schema: Maybe["Schema"] = None

    def field(self, name):
        return next((each for each in self.fields if each.name == name), None)


@dataclass
class Message(Struct):
    """A struct with a number per direction: {"server": 103}, {"call": 66, "reply": 66}, …"""
    numbers: dict[str, int] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)  # direction -> the peer's own name


@dataclass
class Procedure:
    """`procedure NAME = NUMBER ACCESS [call STRUCT] [reply STRUCT] [stream KIND]`: a call."""
    name: str
    number: int
    access: str  # open (before authentication), read, write
    call: Maybe[Named] = None
    reply: Maybe[Named] = None
    stream: str = "none"  # to_client, to_server, both
    doc: str = ""
    schema: Maybe["Schema"] = None


@dataclass
class Event:
    """A message that nobody asked for: `event NAME = NUMBER [carries STRUCT]`."""
    name: str
    number: int
    body: Maybe[Named] = None
    doc: str = ""
    schema: Maybe["Schema"] = None


@dataclass
class Schema:
    path: str
    namespace: list[str]
    protocol: Maybe[str] = None
    number: Maybe[int] = None
    doc: str = ""
    prefixes: dict[str, str] = field(default_factory=dict)  # direction -> constant prefix
    imports: list["Schema"] = field(default_factory=list)
    declarations: list[object] = field(default_factory=list)

    def find(self, name):
        for declaration in self.declarations:
            if declaration.name == name:
                return declaration
        for imported in self.imports:
            found = imported.find(name)
            if found:
                return found
        return None

    def of(self, kind):
        return [each for each in self.declarations if type(each) is kind]
