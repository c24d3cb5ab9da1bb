// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-view-card DATABASE [CERTIFICATE CERTIFICATE CERTIFICATE]: smartcards for the guest behind
// standard input, which is a socket that segue-view holds. Keys and PINs stay in this process.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <thread>

#include "base/log.h"
#include "viewer/card/card_emulator.h"

namespace {

void write_all(segue::ByteView bytes) {
    while (!bytes.empty()) {
        const ssize_t size = ::send(STDIN_FILENO, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size <= 0 && errno == EINTR) continue;
        if (size <= 0) ::_exit(0);  // the viewer has gone
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
}

}  // namespace

int main(int argument_count, char** arguments) {
    using namespace segue;
    if (argument_count < 2) {
        std::fputs("usage: segue-view-card DATABASE [CERTIFICATE…] (started by segue-view)\n",
                   stderr);
        return 2;
    }
    viewer::CardEmulator emulator(
        [](const viewer::CardFrame& frame) { write_all(make_card_frame(frame)); });
    const viewer::CardChoice choice{arguments[1], {arguments + 2, arguments + argument_count}};
    if (const Result<> started = emulator.start(choice); !started) {
        log_error("viewer", "{}", started.error().message);
        return 1;
    }
    std::thread([&] { emulator.watch(); }).detach();
    viewer::CardFrameReader reader;
    std::uint8_t buffer[16384];
    for (;;) {
        const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        // The other thread may be in the library: nothing is taken down under its feet.
        if (size <= 0) ::_exit(0);
        reader.feed({buffer, static_cast<std::size_t>(size)});
        for (auto frame = reader.next();; frame = reader.next()) {
            if (!frame) {
                log_error("viewer", "{}", frame.error().message);
                ::_exit(1);
            }
            if (!*frame) break;
            emulator.on_frame(**frame);
        }
    }
}
