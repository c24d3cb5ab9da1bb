# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loads schema files with their imports, resolves names, and refuses what cannot be meant."""
from pathlib import Path

import model
from model import SchemaError
from parser import Parser


class Loader:
    """One per run of the generator: each file is read once."""

    def __init__(self):
        self.schemas = {}

    def load(self, path):
        path = Path(path).resolve()
        if path not in self.schemas:
            self.schemas[path] = None
            schema = Parser(path, lambda name: self.load(path.parent / name)).parse()
            self.schemas[path] = schema
            Resolver(schema).run()
        if self.schemas[path] is None:
            raise SchemaError(f"{path}: imports itself")
        return self.schemas[path]


class Resolver:
    def __init__(self, schema):
        self.schema = schema

    def run(self):
        if not self.schema.namespace:
            raise SchemaError(f"{self.schema.path}: no namespace")
        for declaration in self.schema.declarations:
            if isinstance(declaration, model.Struct):
                self.struct(declaration)
            elif isinstance(declaration, (model.Procedure, model.Event)):
                self.procedure(declaration)
        self.unique_numbers()

    def error(self, struct, field, text):
        return SchemaError(f"{self.schema.path}:{field.line}: {struct.name}.{field.name}: {text}")

    def unique_numbers(self):
        seen = {}
        for each in self.schema.of(model.Procedure) + self.schema.of(model.Event):
            other = seen.setdefault(each.number, each.name)
            if other != each.name:
                raise SchemaError(f"{self.schema.path}: {each.number} is {other} and {each.name}")
        for message in self.schema.of(model.Message):
            for direction, number in message.numbers.items():
                other = seen.setdefault((direction, number), message.name)
                if other != message.name:
                    raise SchemaError(f"{self.schema.path}: {direction} {number} is {other} "
                                      f"and {message.name}")

    def procedure(self, declaration):
        for role in ("call", "reply", "body"):
            named = getattr(declaration, role, None)
            if named is None:
                continue
            named.target = self.schema.find(named.name)
            if not isinstance(named.target, model.Struct):
                raise SchemaError(f"{self.schema.path}: {declaration.name}: {role} '{named.name}' "
                                  "is no struct")

    def struct(self, struct):
        for index, field in enumerate(struct.fields):
            before = struct.fields[:index]
            self.type(struct, field, field.type, before)
            if any(each.name == field.name for each in before):
                raise self.error(struct, field, "declared twice")
            if field.counts and not any(each.name == field.counts
                                        for each in struct.fields[index + 1:]):
                raise self.error(struct, field, f"counts no later field '{field.counts}'")
            if field.condition:
                self.condition(struct, field, before)

    def earlier(self, struct, field, name, before):
        found = next((each for each in before if each.name == name), None)
        if found is None:
            raise self.error(struct, field, f"no earlier field '{name}'")
        return found

    def condition(self, struct, field, before):
        subject = self.earlier(struct, field, field.condition.field, before)
        target = getattr(subject.type, "target", None)
        if not isinstance(target, model.Enum) or not target.value(field.condition.label):
            raise self.error(struct, field, f"'{field.condition.label}' is no value of it")
        if target.is_flags != (field.condition.test in ("has", "lacks")):
            raise self.error(struct, field, "has/lacks are for flags, is/is_not for enums")

    def type(self, struct, field, kind, before):
        if isinstance(kind, model.Named):
            kind.target = self.schema.find(kind.name)
            if not isinstance(kind.target, (model.Enum, model.Struct)):
                raise self.error(struct, field, f"'{kind.name}' is no type")
        elif isinstance(kind, (model.Optional, model.Offset)):
            self.type(struct, field, kind.inner, before)
        elif isinstance(kind, (model.Array, model.FixedArray)):
            self.type(struct, field, kind.element, before)
        elif isinstance(kind, model.Union):
            self.union(struct, field, kind, before)
        length = getattr(kind, "length", None)
        if isinstance(length, model.LengthField):
            self.earlier(struct, field, length.name, before)
        elif isinstance(length, model.LengthImage):
            self.earlier(struct, field, length.width, before)
            self.earlier(struct, field, length.height, before)

    def union(self, struct, field, union, before):
        if union.on_field:
            discriminant = self.earlier(struct, field, union.on_field, before).type
        else:
            self.type(struct, field, union.on_type, before)
            discriminant = union.on_type
        enum = getattr(discriminant, "target", None)
        for case in union.cases:
            if case.type is not None:
                self.type(struct, field, case.type, before)
            for label in case.labels:
                if isinstance(enum, model.Enum) and label != "default" and not enum.value(label):
                    raise self.error(struct, field, f"'{label}' is no value of {enum.name}")
