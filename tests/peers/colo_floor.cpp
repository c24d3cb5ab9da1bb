// SPDX-License-Identifier: LGPL-2.1-or-later
// colo-floor PATH: a COLO secondary that reads the stream and throws it away: the least pause that
// any receiver can reach on this machine. For bench/checkpoints.py.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "net/address.h"
#include "qemu/stream_reader.h"

namespace segue {
namespace {

class Floor final : public StreamEvents {
  public:
    explicit Floor(int socket) : socket_(socket) {}
    Result<> on_head(const StreamHead&) override { return {}; }
    Result<> on_first_state(ByteView) override { return send(ColoMessage::checkpoint_ready); }
    Result<> on_message(ColoMessage message) override {
        if (message != ColoMessage::checkpoint_request) return {};
        return send(ColoMessage::checkpoint_reply);
    }
    Result<> on_checkpoint_state(ByteView) override {
        TRY(send(ColoMessage::vmstate_received));
        return send(ColoMessage::vmstate_loaded);
    }
    void on_page(std::uint32_t, std::uint64_t, const std::uint8_t*) override {}
    void on_fill(std::uint32_t, std::uint64_t, std::uint8_t) override {}
    void on_delta(std::uint32_t, std::uint64_t, ByteView) override {}

  private:
    Result<> send(ColoMessage message) {
        std::uint8_t word[4];
        store<ByteOrder::big>(word, static_cast<std::uint32_t>(message));
        if (::send(socket_, word, sizeof word, MSG_NOSIGNAL) != sizeof word) {
            return fail(ErrorCode::connection_lost, "the primary is gone");
        }
        return {};
    }
    int socket_;
};

Result<> run(const char* path) {
    const auto address = TRY(net::SocketAddress::of_unix(path));
    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    (void)::unlink(path);
    if (::bind(listener, address.get(), address.size) != 0 || ::listen(listener, 1) != 0) {
        return fail(ErrorCode::system, "cannot listen on '{}'", path);
    }
    const int socket = ::accept(listener, nullptr, nullptr);
    StreamReader reader;
    Floor floor(socket);
    Bytes buffer(16U << 20);
    std::size_t filled = 0;
    for (;;) {
        if (filled == buffer.size()) buffer.resize(2 * buffer.size());
        const ssize_t got = ::recv(socket, buffer.data() + filled, buffer.size() - filled, 0);
        if (got <= 0) return {};
        filled += static_cast<std::size_t>(got);
        std::size_t used = 0;
        for (std::size_t now = 1; now != 0; used += now)
            now = TRY(reader.read(ByteView(buffer).subspan(used, filled - used), floor));
        std::memmove(buffer.data(), buffer.data() + used, filled - used);
        filled -= used;
    }
}

}  // namespace
}  // namespace segue

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const auto done = segue::run(argv[1]);
    if (!done) std::fprintf(stderr, "colo-floor: %s\n", done.error().message.c_str());
    return done ? 0 : 1;
}
