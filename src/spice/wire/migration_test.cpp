// SPDX-License-Identifier: LGPL-2.1-or-later
// State blobs: sizes and bytes as spice-server 0.15.1 writes them (migration-protocol.h), and what
// a hostile client may put in.
#include <gtest/gtest.h>

#include "spice/wire/migration.schema.h"

namespace segue::spice::wire::migration {
namespace {

template <class Blob>
Bytes bytes_of(const Blob& blob) {
    const EncodedMessage encoded = encode(0, blob);
    EXPECT_EQ(encoded.broken_field, nullptr);
    return encoded.body();
}
template <class Blob>
std::string error_of(const Bytes& bytes) {
    const auto blob = parse<Blob>(SharedBytes::borrow(bytes));
    return blob ? "no error" : blob.error().message;
}
template <class Blob>
void expect_every_cut_fails(const Blob& blob) {
    const Bytes bytes = bytes_of(blob);
    ASSERT_EQ(parse<Blob>(SharedBytes::borrow(bytes)).value(), blob);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(parse<Blob>(SharedBytes::borrow(part))) << size;
    }
}

TEST(MigrationBlobs, FixedPartsHaveTheirSizes) {
    EXPECT_EQ(bytes_of(Main{}).size(), 65u);
    EXPECT_EQ(bytes_of(Inputs{}).size(), 10u);
    EXPECT_EQ(bytes_of(Smartcard{}).size(), 42u);
    EXPECT_EQ(bytes_of(SpiceVmc{}).size(), 33u);
    EXPECT_EQ(bytes_of(Display{}).size(), 84u);
    Display one;
    one.list.surfaces = {{0}};
    EXPECT_EQ(bytes_of(one).size(), 88u);
    LossyDisplay lossy;
    lossy.list.surfaces = {{0, 1, 2, 3, 4}};
    EXPECT_EQ(bytes_of(lossy).size(), 104u);
}

TEST(MigrationBlobs, ADeviceWithWaitingDataByteForByte) {
    SpiceVmc blob;
    blob.device = {true, 10, 9, 1, SharedBytes::take({0xaa, 0xbb, 0xcc})};
    EXPECT_EQ(
        bytes_of(blob),
        (Bytes{'S',  'V',  'M', 'D', 1, 0,  0, 0,                  // header
               1,    0,    0,   0,   1, 10, 0, 0, 0,  9, 0, 0, 0,  // version, connected, tokens
               3,    0,    0,   0,   1, 0,  0, 0, 33, 0, 0, 0,     // size, its tokens, offset
               0xaa, 0xbb, 0xcc}));
    expect_every_cut_fails(blob);
}

TEST(MigrationBlobs, InputsAndDisplayByteForByte) {
    EXPECT_EQ(bytes_of(Inputs{3}), (Bytes{'I', 'C', 'M', 'D', 1, 0, 0, 0, 3, 0}));
    Display blob;
    blob.fixed.message_serial = 0x11;
    blob.fixed.low_bandwidth = true;
    blob.fixed.pixmap_cache_id = 2;
    blob.fixed.pixmap_cache_size = -1;
    blob.fixed.pixmap_cache_freezer = true;
    blob.fixed.pixmap_cache_clients = {5, 6, 7, 8};
    blob.fixed.glz_dictionary_id = 3;
    blob.fixed.glz_pixels = 0x100;
    blob.fixed.glz_encoders = 4;
    blob.fixed.glz_last_image_id = 9;
    blob.list.surfaces = {{0}, {5}};
    Bytes expected = {'D', 'C', 'M', 'D', 1, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 1, 2};
    expected.insert(expected.end(), 8, 0xff);
    expected.push_back(1);
    for (const std::uint8_t sync : {5, 6, 7, 8}) {
        expected.push_back(sync);
        expected.insert(expected.end(), 7, 0);
    }
    const Bytes rest = {3,  0, 1, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
                        80, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0};
    expected.insert(expected.end(), rest.begin(), rest.end());
    EXPECT_EQ(bytes_of(blob), expected);
    expect_every_cut_fails(blob);
}

TEST(MigrationBlobs, MainWithAPartialAgentHeader) {
    Main blob;
    blob.agent_device = {true, 5, 10, 0, {}};
    blob.client_agent_started = true;
    blob.agent_chunk_header_size = 8;
    blob.agent_chunk_port = 1;
    blob.agent_chunk_size = 40;
    blob.agent_header = Bytes(13, 7);
    blob.client_remaining = 3;
    const Bytes bytes = bytes_of(blob);
    EXPECT_EQ(bytes.size(), 65u + 13);
    EXPECT_EQ(bytes[51], 65) << "the offset counts from the start of the blob";
    expect_every_cut_fails(blob);
}

TEST(MigrationBlobs, SmartcardWithPartialData) {
    Smartcard blob;
    blob.device = {true, 1, 2, 0, {}};
    blob.reader_added = true;
    blob.read_data = SharedBytes::take({1, 2, 3, 4});
    expect_every_cut_fails(blob);
}

TEST(MigrationBlobs, LiesAreNamed) {
    SpiceVmc blob;
    blob.device = {true, 10, 9, 1, SharedBytes::take({0xaa, 0xbb, 0xcc})};
    const Bytes good = bytes_of(blob);
    const auto changed = [&](std::size_t at, std::uint8_t value) {
        Bytes bytes = good;
        bytes[at] = value;
        return error_of<SpiceVmc>(bytes);
    };
    EXPECT_EQ(changed(0, 'X'),
              "SPICE message migration.spice_vmc: 'magic' is 0x444d5658, "
              "must be 0x444d5653");
    EXPECT_EQ(changed(4, 2), "SPICE message migration.spice_vmc: 'version' is 0x2, must be 0x1");
    EXPECT_EQ(changed(21, 4),
              "SPICE message migration.spice_vmc: ends inside 'write_data' "
              "(36 bytes in all)");
    EXPECT_EQ(changed(24, 2),
              "SPICE message migration.spice_vmc: 'write_size' is 33554435, at most "
              "16777216 is allowed");
    EXPECT_EQ(changed(29, 200),
              "SPICE message migration.spice_vmc: 'write_data' points to 200, "
              "outside its 36 bytes");
    Display display;
    display.list.surfaces = {{1023}};
    Bytes bytes = bytes_of(display);
    EXPECT_EQ(error_of<Display>(bytes), "no error");
    bytes[85] = 4;
    EXPECT_EQ(error_of<Display>(bytes),
              "SPICE message migration.display: 'id' is 1279, at most 1023 is allowed");
    bytes[80] = 2;
    EXPECT_NE(error_of<Display>(bytes), "no error") << "two surfaces, one there";
}

}  // namespace
}  // namespace segue::spice::wire::migration
