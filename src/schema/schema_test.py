#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The language: what is read, and what is refused with which line."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import emit_docs  # noqa: E402
import emit_spice
import emit_xdr  # noqa: E402
import model  # noqa: E402
from loader import Loader  # noqa: E402

HEAD = "namespace test\nprotocol test = 7\n"


def load(text, **others):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in others.items():
            (Path(folder) / f"{name}.schema").write_text(content, encoding="utf-8")
        main = Path(folder) / "main.schema"
        main.write_text(text, encoding="utf-8")
        return Loader().load(main)


class Language(unittest.TestCase):
    def refused(self, text, words):
        with self.assertRaises(model.SchemaError) as caught:
            load(HEAD + text)
        self.assertIn(words, str(caught.exception))
        self.assertRegex(str(caught.exception), r"main\.schema:\d+: |main\.schema: ")

    def test_declarations_come_back_in_order_with_their_comments(self):
        schema = load(HEAD + "# How many.\nlimit many = 0x10\n\n# A colour.\nenum Colour: u8 "
                      "constants C_ {\n  red = 3 # warm\n  green\n}\n"
                      "flags Bits: u16 { one two = 4 }\n")
        many, colour, bits = schema.declarations
        self.assertEqual((many.value, many.doc), (16, "How many."))
        self.assertEqual([(v.name, v.number, v.constant, v.doc) for v in colour.values],
                         [("red", 3, "C_RED", "warm"), ("green", 4, "C_GREEN", "")])
        self.assertEqual([v.number for v in bits.values], [1, 16])

    def test_types(self):
        schema = load(HEAD + "struct Inner { number: i64 max 5 }\n"
                      "message Outer server 1 client 2 {\n"
                      "size: u32 counts data\n list: array[u16] of Inner max 3\n"
                      " text: optional offset string[u32] terminated max 9\n"
                      " data: bytes[size] max 4\n"
                      " fixed: array(3) of u16\n hyper: optional Inner\n}\n")
        outer = schema.find("Outer")
        self.assertEqual(outer.numbers, {"server": 1, "client": 2})
        self.assertEqual(outer.field("size").counts, "data")
        self.assertIs(outer.field("list").type.element.target, schema.find("Inner"))
        self.assertEqual(outer.field("text").type.inner.inner.limit.value, 9)
        self.assertIsInstance(outer.field("hyper").type.inner, model.Named)

    def test_unions_on_a_field_and_with_a_discriminant_of_their_own(self):
        schema = load(HEAD + "enum Kind: u8 { a = 0 b }\nstruct S {\n kind: Kind\n"
                      " one: union on kind { a: u32 b: void }\n"
                      " two: union of i32 {\n"
                      "  1: number = i32 2, 3: text = string max 80 default: void }\n"
                      "}\n")
        one, two = (schema.find("S").field(name).type for name in ("one", "two"))
        self.assertEqual(one.on_field, "kind")
        self.assertEqual([(c.labels, c.name) for c in two.cases],
                         [(["1"], "number"), (["2", "3"], "text"), (["default"], "default")])

    def test_imported_names_are_found(self):
        schema = load('namespace a.b\nimport "base.schema"\nstruct S { p: Point }\n',
                      base="namespace a\nstruct Point { x: i32 }\n")
        self.assertEqual(schema.find("S").field("p").type.target.schema.namespace, ["a"])

    def test_mistakes_are_named(self):
        self.refused("struct S { a: Nothing }", "'Nothing' is no type")
        self.refused("struct S { a: bytes[u32] }", "without 'max'")
        self.refused("struct S { a: bytes[u32] max missing }", "'missing' is no limit")
        self.refused("struct S { a: u8\n a: u8 }", "declared twice")
        self.refused("struct S { a: u8 counts b }", "counts no later field")
        self.refused("struct S { a: bytes[n] max 3 }", "no earlier field 'n'")
        self.refused("enum E: u8 { a }\nstruct S { e: E\n b: u8 when e has a }", "for flags")
        self.refused("enum E: u8 { a }\nstruct S { e: E\n b: u8 when e is c }", "no value")
        self.refused("message A server 1 { }\nmessage B server 1 { }", "server 1 is A and B")
        self.refused("message A { }", "no direction")
        self.refused("structure S { }", "unknown declaration")
        self.refused("struct S { a: u8 ~ }", "cannot read '~'")


class Emitters(unittest.TestCase):
    def test_an_array_cannot_be_larger_than_what_is_left(self):
        schema = load(HEAD + "struct E { a: u32\n b: bytes[u16] max 7 }\n"
                      "message M server 1 { list: array[u32] of E max 5 }\n")
        source = emit_spice.emit(schema, lambda each: "main.schema")[".cpp"]
        self.assertIn('reader.count<std::uint32_t>("list", 5)', source)
        self.assertIn('reader.array("list", value.list, list_size, 6);', source)

    def test_types_of_other_encodings_are_refused(self):
        schema = load(HEAD + "message M server 1 { text: string max 5 }\n")
        with self.assertRaisesRegex(model.SchemaError, "needs a stated length"):
            emit_spice.emit(schema, lambda each: "main.schema")

    def test_the_page_names_number_limit_and_condition(self):
        schema = load(HEAD + "flags F: u8 { on }\n# Says it.\nmessage M server 9 {\n flags: F\n"
                      " text: string[u8] max 5 when flags has on\n}\n")
        page = emit_docs.emit(schema)
        self.assertIn("### M (server 9)\n\nSays it.", page)
        self.assertIn("| `text` | string, u8 size first (at most 5) "
                      "| only when `flags` has `on`. |", page)


class Xdr(unittest.TestCase):
    TEXT = HEAD + """
limit names = 7
limit uuid_size = 16
struct Call { name: optional string max names  id: bytes(uuid_size) }
# Says hello.
procedure Hello = 5 write call Call stream both
event Told = 6 carries Call
"""

    def test_a_procedure_becomes_a_type_and_a_row(self):
        files = emit_xdr.emit(load(self.TEXT), lambda each: "main.schema")
        self.assertIn("using Call = Call;", files[".h"])
        self.assertIn("using Reply = Nothing;", files[".h"])
        self.assertIn('{5, "hello", rpc::Access::write, rpc::StreamKind::both},', files[".cpp"])
        self.assertIn('{6, "told", rpc::Access::event, rpc::StreamKind::none},', files[".cpp"])

    def test_an_absent_text_is_not_an_empty_one(self):
        files = emit_xdr.emit(load(self.TEXT), lambda each: "main.schema")
        self.assertIn("std::optional<std::string> name{};", files[".h"])
        self.assertIn("Uuid id{};", files[".h"])
        self.assertIn('value.name.emplace() = reader.text("name", kNames);', files[".cpp"])

    def test_a_list_is_checked_against_what_is_left(self):
        schema = load(self.TEXT + "struct L { list: array of Call max names }\n")
        source = emit_xdr.emit(schema, lambda each: "main.schema")[".cpp"]
        self.assertIn('value.list.resize(reader.count("list", kNames, 20));', source)

    def test_numbers_and_types_of_procedures_are_checked(self):
        with self.assertRaisesRegex(model.SchemaError, "5 is Hello and Again"):
            load(self.TEXT + "procedure Again = 5 read\n")
        with self.assertRaisesRegex(model.SchemaError, "call 'Nobody' is no struct"):
            load(self.TEXT + "procedure Again = 7 read call Nobody\n")
        with self.assertRaisesRegex(model.SchemaError, "one of open, read, write"):
            load(self.TEXT + "procedure Again = 7 some\n")

    def test_spice_only_fields_are_refused(self):
        schema = load(self.TEXT + "struct S { magic: u32 = 5 }\n")
        with self.assertRaisesRegex(model.SchemaError, "XDR has no such field"):
            emit_xdr.emit(schema, lambda each: "main.schema")

    def test_the_page_lists_procedures(self):
        page = emit_docs.emit(load(self.TEXT))
        self.assertIn("| 5 | Hello | write | `Call` |  | both | Says hello. |", page)


if __name__ == "__main__":
    unittest.main(verbosity=1)
