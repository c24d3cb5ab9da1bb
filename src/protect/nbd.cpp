// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/nbd.h"

namespace segue::nbd {
namespace {

constexpr std::uint64_t kInitMagic = 0x4e42444d41474943;    // "NBDMAGIC"
constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
constexpr std::uint64_t kOptionReplyMagic = 0x0003e889045565a9;
constexpr std::uint32_t kRequestMagic = 0x25609513;
constexpr std::uint32_t kReplyMagic = 0x67446698;

constexpr std::uint16_t kFixedNewstyle = 1, kNoZeroes = 2;  // handshake flags, both ways

constexpr std::uint32_t kOptExportName = 1, kOptAbort = 2, kOptList = 3, kOptStartTls = 5,
                        kOptInfo = 6, kOptGo = 7;
constexpr std::uint32_t kRepAck = 1, kRepServer = 2, kRepInfo = 3;
constexpr std::uint32_t kRepErrUnsupported = 0x80000001, kRepErrInvalid = 0x80000003,
                        kRepErrTlsRequired = 0x80000005;
constexpr std::uint16_t kInfoExport = 0, kInfoBlockSize = 3;

constexpr std::uint16_t kHasFlags = 1, kReadOnly = 2, kSendFlush = 4, kSendFua = 8, kSendTrim = 32,
                        kSendWriteZeroes = 64;
constexpr std::uint16_t kCmdFua = 1, kCmdNoHole = 2;
constexpr std::size_t kOptionHead = 16, kRequestHead = 28, kExportNamePadding = 124;

void option_reply(Bytes& out, std::uint32_t option, std::uint32_t type, ByteView data = {}) {
    BigWriter writer;
    writer.u64(kOptionReplyMagic);
    writer.u32(option);
    writer.u32(type);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    out.insert(out.end(), writer.view().begin(), writer.view().end());
}

bool is_known(std::uint16_t command) {
    return command <= 4 || command == 6;
}

}  // namespace

Server::Server(Export exported) : export_(exported) {}

Bytes Server::greeting() const {
    BigWriter out;
    out.u64(kInitMagic);
    out.u64(kOptionMagic);
    out.u16(kFixedNewstyle | kNoZeroes);
    return out.take();
}

std::uint16_t Server::transmission_flags() const {
    const std::uint16_t writable = kSendFlush | kSendFua | kSendTrim | kSendWriteZeroes;
    return static_cast<std::uint16_t>(kHasFlags | (export_.read_only ? kReadOnly : writable));
}

Result<Server::Progress> Server::next(ByteView input, Bytes& out, Request& request) {
    switch (phase_) {
        case Phase::client_flags: return read_client_flags(input);
        case Phase::options: return read_option(input, out);
        case Phase::transmission: return read_request(input, out, request);
        case Phase::done: return Progress{input.size(), false};
    }
    return Progress{};
}

Result<Server::Progress> Server::read_client_flags(ByteView input) {
    if (input.size() < 4) return Progress{};
    const auto flags = load<ByteOrder::big, std::uint32_t>(input.data());
    if ((flags & kFixedNewstyle) == 0 ||
        (flags & ~std::uint32_t{kFixedNewstyle | kNoZeroes}) != 0) {
        return fail(ErrorCode::protocol, "NBD: client flags {:#x}: fixed newstyle is needed",
                    flags);
    }
    no_zeroes_ = (flags & kNoZeroes) != 0;
    phase_ = Phase::options;
    return Progress{4, false};
}

Result<Server::Progress> Server::read_option(ByteView input, Bytes& out) {
    if (input.size() < kOptionHead) return Progress{};
    BigReader reader(input);
    const std::uint64_t magic = reader.u64();
    const std::uint32_t option = reader.u32();
    const std::uint32_t size = reader.u32();
    if (magic != kOptionMagic || size > kMaxOptionBytes || ++options_ > kMaxOptions) {
        return fail(ErrorCode::protocol,
                    "NBD: option {} of {} bytes, number {}: bad magic, more than {} bytes, or more "
                    "than {} options",
                    option, size, options_, kMaxOptionBytes, kMaxOptions);
    }
    if (reader.remaining() < size) {
        --options_;
        return Progress{};
    }
    const ByteView data = reader.bytes(size);
    answer_option(option, data, out);
    return Progress{reader.position(), false};
}

void Server::answer_option(std::uint32_t option, ByteView data, Bytes& out) {
    if (export_.needs_tls && option != kOptStartTls && option != kOptAbort) {
        // An export name has no reply: the peer sees the end of the connection.
        if (option == kOptExportName) phase_ = Phase::done;
        return option_reply(out, option, kRepErrTlsRequired);
    }
    switch (option) {
        case kOptExportName: {
            BigWriter writer;
            writer.u64(export_.bytes);
            writer.u16(transmission_flags());
            if (!no_zeroes_) writer.zeros(kExportNamePadding);
            out.insert(out.end(), writer.view().begin(), writer.view().end());
            phase_ = Phase::transmission;
            break;
        }
        case kOptAbort:
            option_reply(out, option, kRepAck);
            phase_ = Phase::done;
            break;
        case kOptList: {
            const Bytes unnamed(4, 0);  // one export, whose name is empty
            const bool sound = data.empty();
            option_reply(out, option, sound ? kRepServer : kRepErrInvalid,
                         sound ? ByteView(unnamed) : ByteView());
            if (sound) option_reply(out, option, kRepAck);
            break;
        }
        case kOptStartTls:
            wants_tls_ = export_.needs_tls && data.empty();
            option_reply(out, option, wants_tls_ ? kRepAck : kRepErrUnsupported);
            break;
        case kOptInfo:
        case kOptGo: answer_go(option, data, out); break;
        default: option_reply(out, option, kRepErrUnsupported); break;
    }
}

void Server::secured() {
    wants_tls_ = false;
    export_.needs_tls = false;
}

tl::unexpected<Error> Server::too_early() {
    return fail(ErrorCode::protocol, "NBD: bytes in the clear behind STARTTLS");
}

// be32 length and name (any: there is one export), be16 count and be16 kinds of information.
void Server::answer_go(std::uint32_t option, ByteView data, Bytes& out) {
    BigReader reader(data);
    reader.skip(reader.u32());
    const std::uint16_t kinds = reader.u16();
    reader.skip(std::size_t{kinds} * 2);
    if (!reader.ok() || reader.remaining() != 0) {
        return option_reply(out, option, kRepErrInvalid);
    }
    BigWriter size;
    size.u16(kInfoExport);
    size.u64(export_.bytes);
    size.u16(transmission_flags());
    option_reply(out, option, kRepInfo, size.view());
    BigWriter blocks;
    blocks.u16(kInfoBlockSize);
    blocks.u32(1);     // least
    blocks.u32(4096);  // preferred
    blocks.u32(kMaxTransfer);
    option_reply(out, option, kRepInfo, blocks.view());
    option_reply(out, option, kRepAck);
    if (option == kOptGo) phase_ = Phase::transmission;
}

std::optional<Errno> Server::objection(const Request& request, std::uint16_t flags) const {
    const bool changes = request.command == Command::write || request.command == Command::trim ||
                         request.command == Command::write_zeroes;
    if (changes && export_.read_only) return Errno::perm;
    const std::uint16_t allowed =
        request.command == Command::write_zeroes ? kCmdFua | kCmdNoHole : kCmdFua;
    if ((flags & ~allowed) != 0) return Errno::invalid;
    if (request.command == Command::flush) return std::nullopt;
    if (request.offset > export_.bytes || request.length > export_.bytes - request.offset) {
        return changes ? Errno::no_space : Errno::invalid;
    }
    if (request.length == 0) return Errno::invalid;
    return std::nullopt;
}

Result<Server::Progress> Server::read_request(ByteView input, Bytes& out, Request& request) {
    if (input.size() < kRequestHead) return Progress{};
    BigReader reader(input);
    const std::uint32_t magic = reader.u32();
    const std::uint16_t flags = reader.u16();
    const std::uint16_t command = reader.u16();
    request.cookie = reader.u64();
    request.offset = reader.u64();
    request.length = reader.u32();
    if (magic != kRequestMagic) {
        return fail(ErrorCode::protocol, "NBD: request with magic {:#x}", magic);
    }
    const bool is_write = command == static_cast<std::uint16_t>(Command::write);
    const bool transfers = is_write || command == static_cast<std::uint16_t>(Command::read);
    if (transfers && request.length > kMaxTransfer) {
        return fail(ErrorCode::limit_exceeded, "NBD: transfer of {} bytes (at most {})",
                    request.length, kMaxTransfer);
    }
    if (is_write) {
        if (reader.remaining() < request.length) return Progress{};
        request.data = reader.bytes(request.length);
    }
    if (!is_known(command)) {
        reply(out, request.cookie, Errno::invalid);
        return Progress{reader.position(), false};
    }
    request.command = static_cast<Command>(command);
    if (request.command == Command::disconnect) {
        phase_ = Phase::done;
        return Progress{reader.position(), false};
    }
    request.force_unit_access = (flags & kCmdFua) != 0;
    request.no_hole = (flags & kCmdNoHole) != 0;
    if (const auto error = objection(request, flags)) {
        reply(out, request.cookie, *error);
        return Progress{reader.position(), false};
    }
    return Progress{reader.position(), true};
}

void Server::reply(Bytes& out, std::uint64_t cookie, Errno error, ByteView data) {
    BigWriter writer;
    writer.u32(kReplyMagic);
    writer.u32(static_cast<std::uint32_t>(error));
    writer.u64(cookie);
    writer.bytes(data);
    out.insert(out.end(), writer.view().begin(), writer.view().end());
}

}  // namespace segue::nbd
