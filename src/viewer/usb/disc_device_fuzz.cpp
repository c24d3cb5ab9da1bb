// SPDX-License-Identifier: LGPL-2.1-or-later
// A guest that drives the disc as it likes.
#include <unistd.h>

#include <string>

#include "base/check.h"
#include "viewer/usb/disc_device.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    static const std::string path = [] {
        char name[] = "/tmp/segue-disc-fuzz-XXXXXX";
        const int file = ::mkstemp(name);
        ENSURE(file >= 0 && ::ftruncate(file, 40 * 2048) == 0);
        ::close(file);
        return std::string(name);
    }();
    auto disc = viewer::ScsiDisc::open(path);
    ENSURE(disc);
    viewer::DiscDevice device(std::move(*disc));
    LittleReader in({data, size});
    while (in.remaining() > 0) {
        const std::uint8_t choice = in.u8();
        const std::size_t part = std::min<std::size_t>(in.u8(), in.remaining());
        switch (choice % 4) {
            case 0: (void)device.control({in.u8(), in.u8(), in.u16(), in.u16(), in.u16()}); break;
            case 1: (void)device.bulk_out(in.bytes(part)); break;
            case 2: {
                const std::size_t length = in.u16();
                const auto bytes = device.bulk_in(length);
                ENSURE(!bytes || bytes->size() <= length);
                break;
            }
            default: {
                // A whole wrapper, of which only the command is theirs.
                LittleWriter out;
                out.u32(0x43425355);
                out.u32(1);
                out.u32(in.u16());
                out.u8(choice);
                out.u16(0x0a00);
                const ByteView words = in.bytes(std::min<std::size_t>(16, in.remaining()));
                Bytes command(words.begin(), words.end());
                command.resize(16);
                out.bytes(command);
                (void)device.bulk_out(out.view());
            }
        }
    }
    return 0;
}
