// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/xml.h"

#include <gtest/gtest.h>

#include "domain/xml_cursor.h"

namespace segue {
namespace {

TEST(Xml, RoundTripInLibvirtsStyle) {
    const std::string text =
        "<domain type='qemu'>\n"
        "  <name>a &lt;b&gt; &amp; 'c'</name>\n"
        "  <devices>\n"
        "    <disk file='it&apos;s'/>\n"
        "  </devices>\n"
        "</domain>\n";
    const auto parsed = parse_xml(text, "test");
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(print_xml(*parsed), text);
    EXPECT_EQ(parsed->child_text("name"), "a <b> & 'c'");
}

TEST(Xml, EveryTruncationIsAnError) {
    const std::string text = "<a b='c'><d>e</d><f g=\"h\"/></a>";
    ASSERT_TRUE(parse_xml(text, "test"));
    for (std::size_t size = 0; size < text.size(); ++size)
        EXPECT_FALSE(parse_xml(text.substr(0, size), "test")) << size;
}

TEST(Xml, LimitsAreNamed) {
    std::string deep;
    for (int count = 0; count < 100'000; ++count)
        deep += "<a>";
    EXPECT_EQ(parse_xml(deep, "cookie").error().message, "cookie is nested deeper than 64 levels");
    EXPECT_EQ(parse_xml("<a/>", "cookie", {.bytes = 3}).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(parse_xml("<a><b/><b/></a>", "cookie", {.elements = 2}).error().code,
              ErrorCode::limit_exceeded);
}

// Of two, one counted when it was read and the other when it was read again: found by fuzzing.
TEST(Xml, AnAttributeTwiceIsRefused) {
    EXPECT_EQ(parse_xml("<a><b c='1' d='2' c='3'/></a>", "definition").error().message,
              "definition: <b> has the attribute 'c' twice");
    EXPECT_TRUE(parse_xml("<a><b c='1' d='2'/><b c='1'/></a>", "definition"));
}

TEST(Xml, EntitiesAreNotExpanded) {
    const auto parsed =
        parse_xml("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "test");
    EXPECT_TRUE(!parsed || parsed->text == "&x;");
}

TEST(XmlCursor, RemembersWhatNobodyAskedFor) {
    const auto parsed = parse_xml(
        "<disk type='file' novelty='1'><driver name='qemu' queues='4'/><mirror><a/></mirror>"
        "<target dev='vda'/></disk>",
        "test");
    XmlCursor cursor(*parsed);
    EXPECT_EQ(cursor.attribute("type"), "file");
    EXPECT_EQ(cursor.child("driver")->attribute("name"), "qemu");
    EXPECT_EQ(cursor.child("target")->attribute("dev"), "vda");
    EXPECT_EQ(cursor.child("target"), nullptr);
    const XmlElement unknown = cursor.unknown();
    EXPECT_EQ(describe_unknown(unknown), "disk@novelty, disk/driver@queues, disk/mirror/a");

    XmlElement formatted;
    formatted.name = "disk";
    formatted.set("type", "file").add("driver").set("name", "qemu");
    formatted.add("target").set("dev", "vda");
    merge_unknown(formatted, unknown);
    EXPECT_EQ(print_xml(formatted),
              "<disk type='file' novelty='1'>\n"
              "  <driver name='qemu' queues='4'/>\n"
              "  <target dev='vda'/>\n"
              "  <mirror>\n"
              "    <a/>\n"
              "  </mirror>\n"
              "</disk>\n");
}

TEST(XmlCursor, BadValuesAreNamed) {
    const auto parsed = parse_xml("<address slot='0x20' multi='maybe'/>", "test");
    XmlCursor cursor(*parsed);
    EXPECT_EQ(cursor.number("slot", 0x1f).error().message,
              "Invalid value for attribute 'slot' in element 'address': '0x20'. Expected integer "
              "value of at most 31");
    EXPECT_EQ(*cursor.number("slot", 0x20), 32U);
    EXPECT_FALSE(cursor.on_off("multi"));
    EXPECT_EQ(*cursor.number("absent", 1), std::nullopt);
}

// pugixml takes each of these, and libvirt none.
TEST(XmlTest, WhatIsNotOneWellFormedElementIsRefused) {
    for (const char* text :
         {"before<a/>", "<a/>behind", "<a/><b/>", "<a>&foo;</a>", "<a>& </a>", "<a b='&c'/>",
          "<a>&#;</a>", "<a>&#x;</a>", "<a>&#xg;</a>", "<![CDATA[x]]><a/>"}) {
        const auto parsed = parse_xml(text, "domain XML");
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, ErrorCode::xml_invalid) << text;
    }
    for (const char* text :
         {" <a/> ", "<!-- & &x; --><a/>", "<a><![CDATA[&x; <]]></a>",
          "<?xml version='1.0'?>\n<a/>\n", "<a b='&quot;&#65;&#x4f;'>&amp;&lt;&gt;&apos;</a>",
          "<!DOCTYPE a><a/>"}) {
        EXPECT_TRUE(parse_xml(text, "domain XML")) << text;
    }
}

}  // namespace
}  // namespace segue
