// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/picture_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace segue {

Result<std::shared_ptr<PictureStream>> PictureStream::open(const std::string& path) {
    // Non-blocking: a FIFO in its place must not hold the daemon up.
    net::Descriptor file(
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    const int error = errno;
    ::unlink(path.c_str());
    if (!file) return fail_errno("open the picture", path, error);
    struct stat facts {};
    if (::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
        return fail(ErrorCode::system, "the picture '{}' is no plain file", path);
    }
    return std::make_shared<PictureStream>(std::move(file));
}

rpc::Stream::Handlers PictureStream::handlers() {
    const auto self = shared_from_this();
    rpc::Stream::Handlers made;
    made.on_writable = [self] { self->send_some(); };
    return made;
}

void PictureStream::start(const std::shared_ptr<rpc::Stream>& stream) {
    stream_ = stream;
    send_some();
}

void PictureStream::send_some() {
    const auto stream = stream_.lock();
    if (!file_ || !stream) return;
    Bytes piece(rpc::Stream::kMaxData);
    while (stream->is_writable()) {
        const ssize_t size = ::read(file_.get(), piece.data(), piece.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) {
            file_.reset();
            if (size < 0) return stream->abort(fail_errno("read", "the picture", errno).value());
            return stream->end();
        }
        stream->send(ByteView(piece).first(static_cast<std::size_t>(size)));
    }
}

}  // namespace segue
