// SPDX-License-Identifier: LGPL-2.1-or-later
// The golden cookies are what two stock libvirtd 9.0.0 said to each other (log of
// qemu_migration_cookie.c; only the paths of kernel and initrd were shortened).
#include "migrate/cookie.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace segue::migrate {
namespace {

Bytes golden(const std::string& name) {
    std::ifstream file(std::string(SEGUE_COOKIES "/libvirt-9.0.0-") + name + ".cookie",
                       std::ios::binary);
    EXPECT_TRUE(file) << name;
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    return Bytes(text.begin(), text.end());
}

CookieExpectation expecting(CookieStep step) {
    return {step, "gf", *Uuid::parse("affc01dc-4829-4e4c-a871-873c291a4692"),
            *Uuid::parse("00000000-1111-2222-3333-444444444444")};
}

Cookie parsed(const std::string& name, CookieStep step) {
    auto cookie = parse_cookie(golden(name), expecting(step));
    EXPECT_TRUE(cookie) << cookie.error().message;
    return cookie.value_or(Cookie{});
}

std::string text_of(const Bytes& bytes) {
    return std::string(as_text(bytes));
}

Cookie simple() {
    Cookie cookie;
    cookie.name = "gf";
    cookie.uuid = expecting(CookieStep::begin_to_prepare).uuid;
    cookie.hostname = "hosta";
    cookie.host_uuid = *Uuid::parse("c0ffee00-0000-4000-8000-000000000001");
    return cookie;
}

Error refused(const std::string& inside, CookieStep step) {
    Bytes bytes = write_cookie(simple());
    std::string text = text_of(bytes);
    text.insert(text.find("</qemu-migration>"), inside);
    auto cookie = parse_cookie(as_bytes(text), expecting(step));
    EXPECT_FALSE(cookie) << inside;
    return cookie ? Error{} : cookie.error();
}

TEST(Cookie, ReadsWhatLibvirtWrites) {
    const Cookie begin = parsed("begin", CookieStep::begin_to_prepare);
    EXPECT_EQ(begin.hostname, "hosta");
    EXPECT_EQ(begin.features, std::vector<std::string>{"lockstate"});
    EXPECT_FALSE(begin.lock_state);
    ASSERT_TRUE(begin.capabilities);
    EXPECT_EQ(begin.capabilities->size(), 11u);
    EXPECT_EQ((*begin.capabilities)[5], (CookieCapability{"pause-before-switchover", true}));
    EXPECT_NE(begin.cpu_xml.find("lahf_lm"), std::string::npos);
    EXPECT_FALSE(begin.source_has_right);

    const Cookie prepare = parsed("prepare", CookieStep::prepare_to_perform);
    EXPECT_EQ(prepare.graphics, (CookieGraphics{"spice", 5900, -1, "0.0.0.0", ""}));
    EXPECT_FALSE(prepare.offer);

    const Cookie perform = parsed("perform", CookieStep::perform_to_finish);
    EXPECT_EQ(perform.features, std::vector<std::string>{"persistent"});
    EXPECT_NE(perform.persistent_xml.find("<name>gf</name>"), std::string::npos);
    ASSERT_TRUE(perform.statistics);
    EXPECT_EQ(perform.statistics->value("memory_page_size"), 4096u);
    EXPECT_FALSE(perform.right);

    const Cookie finish = parsed("finish", CookieStep::finish_to_confirm);
    EXPECT_EQ(finish.statistics->delta, 8);
    EXPECT_EQ(finish.statistics->value("downtime"), 49u);
    EXPECT_EQ(finish.statistics->values.size(), 22u);
}

TEST(Cookie, WritesWhatLibvirtWrites) {
    const std::pair<const char*, CookieStep> all[] = {
        {"begin", CookieStep::begin_to_prepare},
        {"prepare", CookieStep::prepare_to_perform},
        {"finish", CookieStep::finish_to_confirm},
    };
    for (const auto& [name, step] : all) {
        EXPECT_EQ(text_of(write_cookie(parsed(name, step))), text_of(golden(name)));
    }
    // Inside the persistent definition only the form of empty elements could differ.
    EXPECT_EQ(text_of(write_cookie(parsed("perform", CookieStep::perform_to_finish))),
              text_of(golden("perform")));
}

TEST(Cookie, CarriesTheRightAndTheOffer) {
    const Uuid id = *Uuid::parse("12345678-1234-4234-8234-123456789abc");
    PeerKey key;
    for (std::size_t at = 0; at < key.size(); ++at)
        key[at] = static_cast<std::uint8_t>(at * 17);

    Cookie cookie = simple();
    cookie.source_has_right = true;
    cookie.guest_cpu_xml = "<guest-cpu identity='family=6'>aes sse</guest-cpu>";
    cookie.kept_emulator = "/opt/qemu & co/qemu";
    auto begin = parse_cookie(write_cookie(cookie), expecting(CookieStep::begin_to_prepare));
    ASSERT_TRUE(begin);
    EXPECT_TRUE(begin->source_has_right);
    EXPECT_EQ(begin->guest_cpu_xml, cookie.guest_cpu_xml + "\n");
    EXPECT_EQ(begin->kept_emulator, cookie.kept_emulator);

    cookie = simple();
    cookie.offer = DestinationOffer{id, {"10.0.0.2", 49300, key}, ""};
    auto prepare = parse_cookie(write_cookie(cookie), expecting(CookieStep::prepare_to_perform));
    ASSERT_TRUE(prepare && prepare->offer);
    EXPECT_EQ(prepare->offer->id, id);
    EXPECT_EQ(prepare->offer->peer, (PeerAddress{"10.0.0.2", 49300, key}));
    EXPECT_EQ(prepare->offer->host, "hosta");

    // Only that the link has TLS is told: by which name it is known, the source knows.
    cookie.offer->peer.tls_name = "hosta";
    prepare = parse_cookie(write_cookie(cookie), expecting(CookieStep::prepare_to_perform));
    ASSERT_TRUE(prepare && prepare->offer);
    EXPECT_EQ(prepare->offer->peer.tls_name, "10.0.0.2");

    EXPECT_FALSE(prepare->offer->protects);
    cookie.offer->protects = true;
    prepare = parse_cookie(write_cookie(cookie), expecting(CookieStep::prepare_to_perform));
    EXPECT_TRUE(prepare && prepare->offer && prepare->offer->protects);

    for (bool run : {true, false}) {
        cookie = simple();
        cookie.protection = run ? R"({"standby":"qemu+tcp://b/system?a=1&b=2"})" : "";
        cookie.right = GivenRight{id, key, run};
        auto perform = parse_cookie(write_cookie(cookie), expecting(CookieStep::perform_to_finish));
        ASSERT_TRUE(perform && perform->right);
        EXPECT_EQ(*perform->right, *cookie.right);
        EXPECT_EQ(perform->protection, cookie.protection);
    }
    // In another step the element says nothing.
    auto elsewhere = parse_cookie(write_cookie(cookie), expecting(CookieStep::finish_to_confirm));
    ASSERT_TRUE(elsewhere);
    EXPECT_FALSE(elsewhere->right);
}

TEST(Cookie, EscapesText) {
    Cookie cookie = simple();
    cookie.hostname = "<a> & 'b' \"c\" />";
    cookie.graphics = CookieGraphics{"spice", 1, 2, "::", "O=a, CN='x' />\n"};
    auto again = parse_cookie(write_cookie(cookie), expecting(CookieStep::prepare_to_perform));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->hostname, cookie.hostname);
    EXPECT_EQ(again->graphics->tls_subject, cookie.graphics->tls_subject);
}

TEST(Cookie, RefusesWrongAndForeignOnesAsLibvirtDoes) {
    const Bytes bytes = golden("begin");
    auto expected = expecting(CookieStep::begin_to_prepare);
    expected.name = "other";
    auto wrong = parse_cookie(bytes, expected);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, ErrorCode::internal);
    EXPECT_EQ(wrong.error().message, "Incoming cookie data had unexpected name gf vs other");

    expected = expecting(CookieStep::begin_to_prepare);
    expected.uuid = Uuid{};
    EXPECT_EQ(parse_cookie(bytes, expected).error().message,
              "Incoming cookie data had unexpected UUID affc01dc-4829-4e4c-a871-873c291a4692 vs "
              "00000000-0000-0000-0000-000000000000");

    expected = expecting(CookieStep::begin_to_prepare);
    expected.local_host_uuid = *Uuid::parse("c0ffee00-0000-4000-8000-000000000001");
    EXPECT_EQ(parse_cookie(bytes, expected).error().message,
              "Attempt to migrate guest to the same host c0ffee00-0000-4000-8000-000000000001");

    // lockstate belongs to Begin's cookie.
    EXPECT_EQ(parse_cookie(bytes, expecting(CookieStep::finish_to_confirm)).error().message,
              "Unsupported migration cookie feature lockstate");
}

TEST(Cookie, RefusesWhatItDoesNotUnderstand) {
    using Step = CookieStep;
    EXPECT_EQ(refused("<feature name='time-travel'/>", Step::begin_to_prepare).message,
              "Unknown migration cookie feature time-travel");
    EXPECT_EQ(refused("<feature/>", Step::begin_to_prepare).message, "missing feature name");
    EXPECT_EQ(refused("<lockstate/>", Step::begin_to_prepare).message,
              "Missing lock driver name in migration cookie");
    EXPECT_EQ(refused("<graphics type='x'/>", Step::prepare_to_perform).message,
              "unknown graphics type x");
    EXPECT_EQ(
        refused("<graphics type='vnc' port='70000' listen=''/>", Step::prepare_to_perform).message,
        "graphics port 70000 or tlsPort -1 in migration data is above 65535");
    EXPECT_EQ(refused("<nbd port='x'/>", Step::prepare_to_perform).message,
              "Malformed nbd port 'x'");
    EXPECT_EQ(refused("<domain/><domain/>", Step::perform_to_finish).message,
              "Too many domain elements in migration cookie");
    EXPECT_EQ(refused("<capabilities><cap/></capabilities>", Step::begin_to_prepare).message,
              "missing migration capability name");
    EXPECT_NE(refused("<segue><right migration='x'/></segue>", Step::perform_to_finish)
                  .message.find("malformed <right>"),
              std::string::npos);
    EXPECT_NE(refused("<segue><offer migration='12345678-1234-4234-8234-123456789abc' "
                      "key='00000000000000000000000000000000' port='0'/></segue>",
                      Step::prepare_to_perform)
                  .message.find("malformed <offer>"),
              std::string::npos);
    EXPECT_EQ(refused("<broken>", Step::begin_to_prepare).code, ErrorCode::internal);
}

TEST(Cookie, HasLimits) {
    std::string many = "<capabilities>";
    for (std::size_t at = 0; at <= kMostCookieItems; ++at)
        many += "<cap name='x'/>";
    EXPECT_EQ(refused(many + "</capabilities>", CookieStep::begin_to_prepare).message,
              "a migration cookie has more than 256 <cap> elements");
    EXPECT_NE(
        refused("<feature name='" + std::string(5000, 'x') + "'/>", CookieStep::begin_to_prepare)
            .message.find("at most 4096"),
        std::string::npos);
    const Bytes huge(kMostCookieBytes + 1, 0);
    EXPECT_NE(parse_cookie(huge, expecting(CookieStep::begin_to_prepare))
                  .error()
                  .message.find("at most 4194304"),
              std::string::npos);
    EXPECT_FALSE(parse_cookie({}, expecting(CookieStep::begin_to_prepare)));
}

TEST(Cookie, NoTruncationIsRead) {
    for (const char* name : {"begin", "prepare", "perform", "finish"}) {
        const Bytes whole = golden(name);
        for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
            Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            for (bool closed : {false, true}) {
                if (closed) part.push_back(0);
                // All but the last line break matters.
                if (size + 2 >= whole.size() && closed) continue;
                EXPECT_FALSE(parse_cookie(part, expecting(CookieStep::begin_to_prepare)));
            }
        }
    }
}

}  // namespace
}  // namespace segue::migrate
