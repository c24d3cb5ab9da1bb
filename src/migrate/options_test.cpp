// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/options.h"

#include <gtest/gtest.h>

#include <set>

namespace segue::migrate {
namespace {

using rpc::remote::TypedParameter;

TypedParameter text(std::string name, std::string value) {
    return {std::move(name), value};
}
TypedParameter number(std::string name, std::int32_t value) {
    return {std::move(name), value};
}
TypedParameter large(std::string name, std::uint64_t value) {
    return {std::move(name), value};
}

Error refused(std::vector<TypedParameter> parameters, std::uint64_t flags = 0) {
    auto options = parse_options(parameters, flags);
    if (!options) return options.error();
    auto checked = check_options(*options);
    EXPECT_FALSE(checked);
    return checked ? Error{} : checked.error();
}

TEST(Options, FlagsHaveLibvirtsBits) {
    std::uint64_t all = 0;
    for (std::size_t bit = 0; bit < migrate_flags().size(); ++bit) {
        EXPECT_EQ(migrate_flags()[bit].flag, 1u << bit) << migrate_flags()[bit].name;
        all |= migrate_flags()[bit].flag;
    }
    EXPECT_EQ(all, 0x1fffffu);
    EXPECT_TRUE(check_flags(all, "f"));
    EXPECT_EQ(check_flags(all | 0x2000000, "qemuDomainMigrateBegin3Params").error(),
              (Error{ErrorCode::invalid_argument,
                     "unsupported flags (0x2000000) in function qemuDomainMigrateBegin3Params"}));
}

TEST(Options, NamesThatReachALogOrQemuAreClean) {
    EXPECT_EQ(refused({text("destination_name", "a\nb")}).message,
              "the destination name has control characters");
    EXPECT_EQ(refused({text("listen_address", "127.0.0.1:1,to=9")}).message,
              "listen address '127.0.0.1:1,to=9' must be an address or a host name");
    for (const char* good : {"10.0.0.1", "fe80::1%eth0", "host-b.example"}) {
        const auto options = parse_options(std::vector{text("listen_address", good)}, kLive);
        ASSERT_TRUE(options);
        EXPECT_TRUE(check_options(*options)) << good;
    }
}

TEST(Options, WhatIsGivenIsNotEmptyOrNonsense) {
    for (const char* xml : {"destination_xml", "persistent_xml"})
        EXPECT_EQ(refused({text(xml, "")}).code, ErrorCode::xml_invalid) << xml;
    EXPECT_EQ(refused({text("graphics_uri", "nonsense")}, kLive).code, ErrorCode::invalid_argument);
    EXPECT_EQ(refused({text("graphics_uri", "http://b:1")}, kLive).code,
              ErrorCode::argument_unsupported);
}

TEST(Options, EachRuleSpeaks) {
    for (const FlagRule& rule : flag_rules()) {
        const Error error = refused({}, rule.all_of);
        EXPECT_NE(error.code, ErrorCode::internal) << rule.why;
    }
    EXPECT_EQ(refused({}, kOffline).message,
              "offline migration must be specified with the persistent flag set");
    EXPECT_EQ(refused({}, kOffline).code, ErrorCode::operation_invalid);
    EXPECT_EQ(refused({}, kZeroCopy).code, ErrorCode::operation_invalid);
    EXPECT_EQ(refused({}, kPostCopy).code, ErrorCode::argument_unsupported);
    EXPECT_EQ(refused({}, kLive | kPostCopy).message,
              "post-copy migration is not supported by this daemon");
    EXPECT_EQ(refused({}, kTunnelled).code, ErrorCode::invalid_argument);
    EXPECT_EQ(refused({}, kNonSharedDisk | kNonSharedIncremental).code,
              ErrorCode::invalid_argument);
    MigrateOptions usual;
    usual.flags = kLive | kPeerToPeer | kTunnelled | kPersistDestination | kUndefineSource |
                  kChangeProtection | kUnsafe | kAutoConverge | kAbortOnError;
    EXPECT_TRUE(check_options(usual));
}

TEST(Options, TakesEveryParameter) {
    const auto options = parse_options(
        std::vector{text("migrate_uri", "tcp://b:1"), text("destination_name", "n"),
                    text("destination_xml", "<x/>"), text("persistent_xml", "<p/>"),
                    text("graphics_uri", "spice://b:2"), text("listen_address", "::"),
                    text("tls.destination", "c"), large("bandwidth", 7), text("compression", "mt"),
                    text("compression", "xbzrle"), number("compression.mt.level", 1),
                    number("compression.mt.threads", 2), number("compression.mt.dthreads", 3),
                    large("compression.xbzrle.cache", 8192), number("auto_converge.initial", 4),
                    number("auto_converge.increment", 5), number("parallel.connections", 6),
                    large("segue.screen_wait", 0), large("segue.max_downtime", 700)},
        kAutoConverge | kParallel);
    ASSERT_TRUE(options) << options.error().message;
    EXPECT_TRUE(check_options(*options)) << check_options(*options).error().message;
    EXPECT_EQ(options->migrate_uri, "tcp://b:1");
    EXPECT_EQ(options->destination_name, "n");
    EXPECT_EQ(options->destination_xml, "<x/>");
    EXPECT_EQ(options->persistent_xml, "<p/>");
    EXPECT_EQ(options->graphics_uri, "spice://b:2");
    EXPECT_EQ(options->listen_address, "::");
    EXPECT_EQ(options->tls_destination, "c");
    EXPECT_EQ(options->bandwidth_mib, 7u);
    EXPECT_TRUE(options->compress_mt && options->compress_xbzrle);
    EXPECT_EQ(options->mt_level, 1);
    EXPECT_EQ(options->mt_threads, 2);
    EXPECT_EQ(options->mt_decompress_threads, 3);
    EXPECT_EQ(options->xbzrle_cache, 8192u);
    EXPECT_EQ(options->throttle_initial, 4);
    EXPECT_EQ(options->throttle_increment, 5);
    EXPECT_EQ(options->parallel_connections, 6);
    EXPECT_EQ(options->screen_wait_ms, 0u);
    EXPECT_EQ(options->max_downtime_ms, 700u);
}

TEST(Options, RefusesAsLibvirtDoes) {
    EXPECT_EQ(refused({text("foo", "")}),
              (Error{ErrorCode::argument_unsupported, "parameter 'foo' not supported"}));
    EXPECT_EQ(refused({text("bandwidth", "1")}),
              (Error{ErrorCode::invalid_argument,
                     "invalid type 'string' for parameter 'bandwidth', expected 'ullong'"}));
    EXPECT_EQ(refused({large("bandwidth", 1), large("bandwidth", 1)}).message,
              "parameter 'bandwidth' occurs multiple times");
    EXPECT_EQ(refused({large("bandwidth", 8796093022208)}),
              (Error{ErrorCode::overflow, "bandwidth must be less than 8796093022208"}));
    EXPECT_EQ(refused({text("compression", "foo")}).message,
              "Unsupported compression method 'foo'");
    EXPECT_EQ(refused({text("compression", "mt"), text("compression", "mt")}).message,
              "Compression method 'mt' is specified twice");
    EXPECT_EQ(refused({number("compression.mt.level", 1)}).message,
              "Turn multithread compression on to tune it");
    EXPECT_EQ(refused({large("compression.xbzrle.cache", 4096)}).message,
              "Turn xbzrle compression on to tune it");
    EXPECT_EQ(refused({number("auto_converge.initial", 20)}).message,
              "Turn auto convergence on to tune it");
    EXPECT_EQ(refused({number("parallel.connections", 2)}).message,
              "Turn parallel migration on to tune it");
    EXPECT_EQ(refused({text("compression", "mt"), number("compression.mt.level", 10)}).message,
              "parameter 'compression.mt.level' is 10: it must be 0 to 9");
    EXPECT_EQ(refused({number("parallel.connections", 0)}, kParallel).message,
              "parameter 'parallel.connections' is 0: it must be 1 to 255");
    EXPECT_EQ(refused({large("compression.xbzrle.cache", 3)}, kCompressed).code,
              ErrorCode::invalid_argument);
    EXPECT_EQ(refused({large("segue.screen_wait", 600001)}).message,
              "parameter 'segue.screen_wait' is 600001 ms: it must be 0 to 600000");
    EXPECT_EQ(refused({large("segue.max_downtime", 2000001)}).message,
              "parameter 'segue.max_downtime' is 2000001 ms: it must be 0 to 2000000");
    EXPECT_EQ(refused({text("migrate_disks", "vda")}).code, ErrorCode::argument_unsupported);
    EXPECT_EQ(refused({text("destination_name", "a/b")}).code, ErrorCode::invalid_argument);
    EXPECT_EQ(refused({text("migrate_uri", "hostb")}).message,
              "missing scheme in migration URI: hostb");
    EXPECT_EQ(refused({text("migrate_uri", "http://b")}),
              (Error{ErrorCode::argument_unsupported,
                     "unsupported scheme http in migration URI http://b"}));
}

TEST(Options, ReadsMigrationUris) {
    const auto host = [](std::string_view uri) { return parse_migrate_uri(uri).value(); };
    EXPECT_EQ(host("tcp:hostb"), (MigrateUri{"hostb", 0}));
    EXPECT_EQ(host("tcp:hostb:49152"), (MigrateUri{"hostb", 49152}));
    EXPECT_EQ(host("tcp://hostb"), (MigrateUri{"hostb", 0}));
    EXPECT_EQ(host("tcp://10.0.0.2:1/"), (MigrateUri{"10.0.0.2", 1}));
    EXPECT_EQ(host("tcp://[fe80::1]:7"), (MigrateUri{"fe80::1", 7}));
    for (const char* bad : {"", "tcp:", "tcp://", "tcp://:1", "tcp://a:b", "tcp://a:70000",
                            "tcp://[::1", "unix:/x", "rdma://a", "/a:b"}) {
        EXPECT_FALSE(parse_migrate_uri(bad)) << bad;
    }
    for (const MigrateUri& uri : {MigrateUri{"a", 0}, MigrateUri{"::1", 5}, MigrateUri{"b", 9}}) {
        EXPECT_EQ(host(migrate_uri_text(uri)), uri);
    }
}

TEST(Options, ReadsGraphicsUris) {
    EXPECT_EQ(parse_graphics_uri("spice://b:5900/?tlsPort=5901&tlsSubject=O%3DX,CN%3Db"),
              (GraphicsUri{"spice", "b", 5900, 5901, "O=X,CN=b"}));
    EXPECT_EQ(parse_graphics_uri("spice://[::1]:1"), (GraphicsUri{"spice", "::1", 1, 0, ""}));
    EXPECT_EQ(parse_graphics_uri("spice://b?other&tlsPort=3"),
              (GraphicsUri{"spice", "b", 0, 3, ""}));
    EXPECT_FALSE(parse_graphics_uri("foo://x"));
    EXPECT_FALSE(parse_graphics_uri("spice://x/?tlsPort=x"));
    EXPECT_FALSE(parse_graphics_uri(std::string(2000, 'a')));
}

}  // namespace
}  // namespace segue::migrate
