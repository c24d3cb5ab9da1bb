// SPDX-License-Identifier: LGPL-2.1-or-later
// A picture that QEMU wrote into a file, sent over a stream piece by piece: the guest chooses how
// large it is, so it is never held in memory as a whole.
#pragma once

#include <memory>

#include "net/descriptor.h"
#include "rpc/stream.h"

namespace segue {

class PictureStream : public std::enable_shared_from_this<PictureStream> {
  public:
    // Opens the file and takes its name away. An error for anything but a plain file: QEMU may
    // write in its own directory, and must not make the daemon read others.
    static Result<std::shared_ptr<PictureStream>> open(const std::string& path);
    explicit PictureStream(net::Descriptor file) : file_(std::move(file)) {}

    // They keep this object as long as the stream lives.
    rpc::Stream::Handlers handlers();
    // Call it when the opening call is answered.
    void start(const std::shared_ptr<rpc::Stream>& stream);

  private:
    void send_some();

    net::Descriptor file_;
    std::weak_ptr<rpc::Stream> stream_;
};

}  // namespace segue
