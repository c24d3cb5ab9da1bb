// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/keymap.h"

#include <array>

namespace segue::viewer {
namespace {

constexpr std::uint16_t kExtended = 0x100;

// From usage 4 (A) on: USB HID usage tables, keyboard page; IBM's scan code set 1.
constexpr std::array<std::uint16_t, 98> kFromA = {
    // A to Z
    0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32, 0x31, 0x18, 0x19,
    0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c,
    // 1 to 0
    0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
    // enter, escape, backspace, tab, space, - = [ ] \ # ; ' ` , . /
    0x1c, 0x01, 0x0e, 0x0f, 0x39, 0x0c, 0x0d, 0x1a, 0x1b, 0x2b, 0x2b, 0x27, 0x28, 0x29, 0x33, 0x34,
    0x35,
    // caps lock, F1 to F12
    0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x57, 0x58,
    // print, scroll lock, pause (num lock's code with control; guests take it so)
    kExtended | 0x37, 0x46, kExtended | 0x46,
    // insert, home, page up, delete, end, page down
    kExtended | 0x52, kExtended | 0x47, kExtended | 0x49, kExtended | 0x53, kExtended | 0x4f,
    kExtended | 0x51,
    // right, left, down, up
    kExtended | 0x4d, kExtended | 0x4b, kExtended | 0x50, kExtended | 0x48,
    // num lock; keypad / * - + enter 1 to 9 0 .
    0x45, kExtended | 0x35, 0x37, 0x4a, 0x4e, kExtended | 0x1c, 0x4f, 0x50, 0x51, 0x4b, 0x4c, 0x4d,
    0x47, 0x48, 0x49, 0x52, 0x53,
    // the key beside left shift, and the menu key
    0x56, kExtended | 0x5d};

// From usage 224: left control, shift, alt, meta, and the right ones.
constexpr std::array<std::uint16_t, 8> kModifiers = {
    0x1d, 0x2a, 0x38, kExtended | 0x5b, kExtended | 0x1d, 0x36, kExtended | 0x38, kExtended | 0x5c};

// Keys of other countries, and of media. QEMU 7.2 has none for F13 and on, so those are not here.
struct Other {
    int usage;
    std::uint16_t code;
};
constexpr Other kOthers[] = {
    // keypad = and the Brazilian keypad's separator
    {103, 0x59},
    {133, 0x7e},
    // international 1 to 5: ro (and the Brazilian /), hiragana and katakana, yen, henkan, muhenkan
    {135, 0x73},
    {136, 0x70},
    {137, 0x7d},
    {138, 0x79},
    {139, 0x7b},
    // languages 1 to 4: hangul, hanja, katakana, hiragana
    {144, 0x72},
    {145, 0x71},
    {146, 0x78},
    {147, 0x77},
    // mute, louder, softer; next, previous, stop, play: the last four are SDL's own numbers
    {127, kExtended | 0x20},
    {128, kExtended | 0x30},
    {129, kExtended | 0x2e},
    {258, kExtended | 0x19},
    {259, kExtended | 0x10},
    {260, kExtended | 0x24},
    {261, kExtended | 0x22}};

}  // namespace

std::uint32_t xt_scan_code(int usb_usage) {
    constexpr int kFirst = 4, kFirstModifier = 224;
    std::uint16_t code = 0;
    if (usb_usage >= kFirst && usb_usage < kFirst + static_cast<int>(kFromA.size()))
        code = kFromA[static_cast<std::size_t>(usb_usage - kFirst)];
    if (usb_usage >= kFirstModifier &&
        usb_usage < kFirstModifier + static_cast<int>(kModifiers.size()))
        code = kModifiers[static_cast<std::size_t>(usb_usage - kFirstModifier)];
    for (const Other& other : kOthers) {
        if (other.usage == usb_usage) code = other.code;
    }
    return code & kExtended ? 0xe0u | (code & 0xffu) << 8 : code;
}

}  // namespace segue::viewer
