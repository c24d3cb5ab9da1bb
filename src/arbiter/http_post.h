// SPDX-License-Identifier: LGPL-2.1-or-later
// One HTTP POST at a time on a Loop: text out, text back. libcurl stays behind this header.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/result.h"

namespace segue::arbiter {

class HttpPost {
  public:
    struct Request {
        std::string url;
        std::string body;
        // Of an https URL: its ca-cert.pem is whom we believe, client-cert.pem and client-key.pem,
        // where it has them, are who we are.
        std::string tls_directory;
        Duration bound = 1s;
    };
    // The body of an answer with status 200. Errors: unreachable, timeout, limit_exceeded, and
    // operation_failed with the status.
    using Answer = std::function<void(Result<std::string>)>;

    static constexpr std::size_t kMaxAnswer = 64U << 10;

    explicit HttpPost(Loop& loop);
    ~HttpPost();

    // Never answers from inside this call. A question that is still under way is forgotten.
    void start(const Request& request, Answer answer);

  private:
    class Curl;
    std::unique_ptr<Curl> curl_;
};

}  // namespace segue::arbiter
