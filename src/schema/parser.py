# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a schema file (LANGUAGE.md) into the model. A mistake is one SchemaError with its line."""
import re
from pathlib import Path

import model
from model import SchemaError

TOKEN = re.compile(r"""
    (?P<comment>\#[^\n]*) | (?P<newline>\n) | (?P<space>[ \t]+)
  | (?P<number>-?(?:0x[0-9a-fA-F]+|\d+)) | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<string>"[^"\n]*") | (?P<sign>[{}()\[\]:,=.])
""", re.VERBOSE)

DECLARATIONS = ("namespace", "import", "protocol", "limit", "enum", "open", "flags", "struct",
                "message", "procedure", "event")


class Token:
    def __init__(self, kind, text, line, doc):
        self.kind, self.text, self.line, self.doc = kind, text, line, doc


def tokenize(text, path):
    """Comments become documentation: of the next token, or of the token they trail."""
    tokens, pending, line, at, fresh = [], [], 1, 0, True
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise SchemaError(f"{path}:{line}: cannot read '{text[at]}'")
        at, kind, word = match.end(), match.lastgroup, match.group()
        if kind == "newline":
            if fresh and not (pending and text[:match.start()].rsplit("\n", 1)[-1].strip()):
                pending = []
            line, fresh = line + 1, True
        elif kind == "comment":
            words = word.lstrip("#").strip()
            if fresh:
                pending.append(words)
            elif tokens:
                tokens[-1].trailing = words
        elif kind != "space":
            tokens.append(Token(kind, word, line, " ".join(pending)))
            tokens[-1].trailing = ""
            pending, fresh = [], False
    tokens.append(Token("end", "end of file", line, ""))
    tokens[-1].trailing = ""
    return tokens


class Parser:
    def __init__(self, path, load):
        self.path, self.load = str(path), load
        self.tokens = tokenize(Path(path).read_text(encoding="utf-8"), self.path)
        self.at = 0
        self.schema = model.Schema(path=self.path, namespace=[])

    # --- tokens ---------------------------------------------------------------------------------

    @property
    def token(self):
        return self.tokens[self.at]

    def error(self, text, line=None):
        return SchemaError(f"{self.path}:{line or self.token.line}: {text}")

    def next(self, kind=None):
        token = self.token
        if kind and token.kind != kind:
            raise self.error(f"'{token.text}' where a {kind} belongs")
        self.at += 1
        return token

    def accept(self, text):
        if self.token.text == text:
            self.at += 1
            return True
        return False

    def expect(self, text):
        if not self.accept(text):
            raise self.error(f"'{self.token.text}' where '{text}' belongs")

    def number(self):
        return int(self.next("number").text, 0)

    def doc_from(self, first):
        """The comment above the item, and the one that trails its last token."""
        return " ".join(part for part in (first.doc, self.tokens[self.at - 1].trailing) if part)

    # --- declarations ---------------------------------------------------------------------------

    def parse(self):
        while self.token.kind != "end":
            word = self.next("name")
            if word.text not in DECLARATIONS:
                raise self.error(f"unknown declaration '{word.text}'", word.line)
            getattr(self, "read_" + word.text)(word)
        return self.schema

    def read_namespace(self, first):
        self.schema.doc = first.doc
        self.schema.namespace = [self.next("name").text]
        while self.accept("."):
            self.schema.namespace.append(self.next("name").text)

    def read_import(self, _first):
        self.schema.imports.append(self.load(self.next("string").text.strip('"')))

    def read_protocol(self, first):
        self.schema.protocol = self.next("name").text
        self.expect("=")
        self.schema.number = self.number()
        self.schema.doc = first.doc or self.schema.doc
        while self.accept("constants"):
            direction = self.next("name").text
            self.schema.prefixes[direction] = self.next("name").text

    def read_limit(self, first):
        name = self.next("name").text
        self.expect("=")
        self.declare(model.Limit(name, self.number(), schema=self.schema), first)

    def read_open(self, first):
        self.expect("enum")
        self.read_enum(first, is_open=True)

    def read_flags(self, first):
        self.read_enum(first, is_flags=True)

    def read_enum(self, first, is_flags=False, is_open=False):
        name = self.next("name").text
        self.expect(":")
        scalar = self.next("name").text
        if scalar not in model.SCALARS:
            raise self.error(f"enum {name}: '{scalar}' is no scalar")
        prefix = self.next("name").text if self.accept("constants") else None
        self.expect("{")
        values, following = [], 0
        while not self.accept("}"):
            word = self.next("name")
            if self.accept("="):
                following = self.number()
            constant = prefix + word.text.upper() if prefix else None
            if self.accept("constant"):
                constant = self.next("name").text
            number = 1 << following if is_flags else following
            values.append(model.EnumValue(word.text, number, constant, self.doc_from(word)))
            following += 1
        self.declare(model.Enum(name, scalar, values, is_flags, is_open or is_flags,
                                schema=self.schema), first)

    def read_struct(self, first):
        name = self.next("name").text
        self.declare(model.Struct(name, self.fields(), schema=self.schema), first)

    def read_message(self, first):
        name = self.next("name").text
        numbers, constants = {}, {}
        while self.token.text != "{":
            direction = self.next("name").text
            numbers[direction] = self.number()
            if self.accept("constant"):
                constants[direction] = self.next("name").text
            elif direction in self.schema.prefixes:
                words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()
                constants[direction] = self.schema.prefixes[direction] + words
        if not numbers:
            raise self.error(f"message {name} has no direction and number")
        message = model.Message(name, self.fields(), schema=self.schema)
        message.numbers, message.constants = numbers, constants
        self.declare(message, first)

    def read_procedure(self, first):
        procedure = model.Procedure(self.next("name").text, 0, "", schema=self.schema)
        self.expect("=")
        procedure.number = self.number()
        procedure.access = self.one_of("open", "read", "write")
        if self.accept("call"):
            procedure.call = model.Named(self.next("name").text)
        if self.accept("reply"):
            procedure.reply = model.Named(self.next("name").text)
        if self.accept("stream"):
            procedure.stream = self.one_of("to_client", "to_server", "both")
        self.declare(procedure, first)

    def read_event(self, first):
        event = model.Event(self.next("name").text, 0, schema=self.schema)
        self.expect("=")
        event.number = self.number()
        if self.accept("carries"):
            event.body = model.Named(self.next("name").text)
        self.declare(event, first)

    def one_of(self, *words):
        word = self.next("name").text
        if word not in words:
            raise self.error(f"'{word}' where one of {', '.join(words)} belongs")
        return word

    def declare(self, declaration, first):
        if any(each.name == declaration.name for each in self.schema.declarations):
            raise self.error(f"'{declaration.name}' is declared twice", first.line)
        one_line = isinstance(declaration, (model.Limit, model.Procedure, model.Event))
        declaration.doc = self.doc_from(first) if one_line else first.doc
        self.schema.declarations.append(declaration)

    # --- fields and types -----------------------------------------------------------------------

    def fields(self):
        self.expect("{")
        fields = []
        while not self.accept("}"):
            fields.append(self.field())
        return fields

    def field(self):
        word = self.next("name")
        self.expect(":")
        field = model.Field(word.text, self.type(), line=word.line)
        if self.accept("counts"):
            field.counts = self.next("name").text
        if self.accept("="):
            field.constant = self.number()
        if self.accept("when"):
            subject = self.next("name").text
            test = self.next("name").text
            if test not in ("is", "is_not", "has", "lacks"):
                raise self.error(f"'{test}' where is, is_not, has or lacks belongs")
            field.condition = model.Condition(subject, test, self.next().text)
        field.doc = self.doc_from(word)
        return field

    def type(self):
        word = self.next("name").text
        if word == "optional":
            return model.Optional(self.type())
        if word == "offset":
            return model.Offset(self.type())
        if word == "union":
            return self.union()
        if word == "array":
            return self.array()
        if word == "bytes" and self.accept("("):
            size = self.limit()
            self.expect(")")
            return model.FixedBytes(size)
        if word in ("bytes", "string", "payload"):
            length = self.length()
            terminated = self.accept("terminated")
            return model.Text(word, length, self.mandatory_limit(word), terminated)
        if word in model.SCALARS:
            return model.Scalar(word, self.limit() if self.accept("max") else None)
        return model.Named(word)

    def array(self):
        if self.accept("("):
            size = self.limit()
            self.expect(")")
            self.expect("of")
            return model.FixedArray(self.element(), size)
        length = self.length()
        self.expect("of")
        return model.Array(self.element(), length, self.mandatory_limit("array"))

    def element(self):
        """An array's element: a bare name, or a whole type in parentheses."""
        if self.accept("("):
            inner = self.type()
            self.expect(")")
            return inner
        word = self.next("name").text
        return model.Scalar(word) if word in model.SCALARS else model.Named(word)

    def length(self):
        if not self.accept("["):
            return model.LengthOfEncoding()
        word = self.next("name").text
        if word == "rest":
            length = model.LengthRest()
        elif word == "image_size":
            self.expect("(")
            bits = self.number()
            self.expect(",")
            width = self.next("name").text
            self.expect(",")
            length = model.LengthImage(bits, width, self.next("name").text)
            self.expect(")")
        elif word in model.SCALARS:
            length = model.LengthPrefix(word)
        else:
            length = model.LengthField(word)
        self.expect("]")
        return length

    def mandatory_limit(self, what):
        if not self.accept("max"):
            raise self.error(f"{what} of variable length without 'max'")
        return self.limit()

    def limit(self):
        if self.token.kind == "number":
            return model.Limit(None, self.number())
        name = self.next("name").text
        found = self.schema.find(name)
        if not isinstance(found, model.Limit):
            raise self.error(f"'{name}' is no limit")
        return found

    def union(self):
        on_field = on_type = None
        if self.accept("on"):
            on_field = self.next("name").text
        else:
            self.expect("of")
            on_type = self.type()
        self.expect("{")
        cases = []
        while not self.accept("}"):
            labels = [self.next().text]
            while self.accept(","):
                labels.append(self.next().text)
            self.expect(":")
            if self.accept("void"):
                cases.append(model.UnionCase(labels, labels[0], None))
            else:
                name = labels[0]
                if self.tokens[self.at + 1].text == "=":
                    name = self.next("name").text
                    self.expect("=")
                cases.append(model.UnionCase(labels, name, self.type()))
        return model.Union(on_field, on_type, cases)
