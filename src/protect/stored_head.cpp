// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/stored_head.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace segue {
namespace {

constexpr std::uint32_t kHeadMagic = 0x53474831;  // "SGH1"
constexpr std::size_t kMaxHeadBytes = 1U << 20;

void put_text(BigWriter& out, std::string_view text) {
    out.u32(static_cast<std::uint32_t>(text.size()));
    out.bytes(as_bytes(text));
}
std::string get_text(BigReader& in) {
    return std::string(as_text(in.bytes(in.u32())));
}

// Closes at the end of its scope.
struct File {
    explicit File(int number) : descriptor(number) {}
    ~File() {
        if (descriptor >= 0) ::close(descriptor);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int descriptor;
};

}  // namespace

Bytes encode_head(const StreamHead& head) {
    BigWriter out;
    out.u32(kHeadMagic);
    put_text(out, head.machine);
    put_text(out, as_text(head.subsections));
    out.u32(static_cast<std::uint32_t>(head.capabilities.size()));
    for (const std::string& capability : head.capabilities)
        put_text(out, capability);
    out.u8(head.enable_colo ? 1 : 0);
    out.u32(head.ram_section);
    out.u32(static_cast<std::uint32_t>(head.blocks.size()));
    for (const RamBlock& block : head.blocks) {
        put_text(out, block.name);
        out.u64(block.length);
        out.u64(block.address);
    }
    return out.take();
}

Result<StreamHead> decode_head(ByteView bytes) {
    BigReader in(bytes);
    StreamHead head;
    const bool known = in.u32() == kHeadMagic;
    head.machine = get_text(in);
    const std::string subsections = get_text(in);
    head.subsections.assign(subsections.begin(), subsections.end());
    const StreamLimits limits;
    const std::uint32_t capabilities = in.u32();
    for (std::uint32_t index = 0; in.ok() && index < capabilities; ++index)
        head.capabilities.push_back(get_text(in));
    head.enable_colo = in.u8() != 0;
    head.ram_section = in.u32();
    const std::uint32_t blocks = in.u32();
    for (std::uint32_t index = 0; in.ok() && index < blocks; ++index) {
        RamBlock block;
        block.name = get_text(in);
        block.length = in.u64();
        block.address = in.u64();
        head.blocks.push_back(std::move(block));
    }
    if (!known || !in.ok() || in.remaining() != 0 || head.blocks.size() > limits.blocks ||
        head.ram_bytes() > limits.ram_bytes) {
        return fail(ErrorCode::persist_failed, "the stored head of the stream is damaged");
    }
    return head;
}

Result<StreamHead> load_head(const std::string& path) {
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat status {};
    if (file.descriptor < 0 || ::fstat(file.descriptor, &status) != 0) {
        return fail_errno("open", path, errno);
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size > kMaxHeadBytes) {
        return fail(ErrorCode::persist_failed, "'{}' has {} bytes (at most {})", path, size,
                    kMaxHeadBytes);
    }
    return decode_head(TRY(load_bytes(path, size)));
}

Result<> save_bytes(const std::string& path, ByteView bytes) {
    const std::string beside = path + ".new";
    {
        const File file(
            ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (file.descriptor < 0) return fail_errno("open", beside, errno);
        std::size_t at = 0;
        while (at < bytes.size()) {
            const ssize_t written = ::write(file.descriptor, bytes.data() + at, bytes.size() - at);
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return fail_errno("write", beside, errno);
            at += static_cast<std::size_t>(written);
        }
    }
    if (::rename(beside.c_str(), path.c_str()) != 0) return fail_errno("rename", beside, errno);
    return {};
}

Result<Bytes> load_bytes(const std::string& path, std::size_t size) {
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.descriptor < 0) return fail_errno("open", path, errno);
    struct stat status {};
    if (::fstat(file.descriptor, &status) != 0) return fail_errno("stat", path, errno);
    if (static_cast<std::size_t>(status.st_size) != size) {
        return fail(ErrorCode::persist_failed, "'{}' has {} bytes where {} are recorded", path,
                    status.st_size, size);
    }
    Bytes bytes(size);
    std::size_t at = 0;
    while (at < size) {
        const ssize_t got = ::read(file.descriptor, bytes.data() + at, size - at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return fail_errno("read", path, errno);
        at += static_cast<std::size_t>(got);
    }
    return bytes;
}

}  // namespace segue
