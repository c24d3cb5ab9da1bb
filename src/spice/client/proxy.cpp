// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/proxy.h"

#include <charconv>

#include "net/base64.h"

namespace segue::spice::client {
namespace {

constexpr std::size_t kMaxHead = 8192;

class ConnectFilter final : public net::ByteFilter {
  public:
    ConnectFilter(std::string request, std::unique_ptr<net::ByteFilter> inner)
        : request_(std::move(request)), inner_(std::move(inner)) {}

    Result<> start(Bytes& to_peer) override {
        to_peer.insert(to_peer.end(), request_.begin(), request_.end());
        return {};
    }

    Result<> receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) override {
        if (through_) return receive_inner(from_peer, plain, to_peer);
        head_.append(as_text(from_peer));
        const std::size_t end = head_.find("\r\n\r\n");
        if (end == std::string::npos) {
            if (head_.size() <= kMaxHead) return {};
            return fail(ErrorCode::protocol, "the proxy's answer is longer than {} bytes",
                        kMaxHead);
        }
        const std::string_view line = std::string_view(head_).substr(0, head_.find("\r\n"));
        const bool is_http = line.starts_with("HTTP/1.") && line.size() >= 12;
        if (!is_http || line.substr(9, 1) != "2") {
            return fail(ErrorCode::connection_lost, "the proxy does not connect: {}",
                        line.substr(0, 200));
        }
        through_ = true;
        const std::string rest = head_.substr(end + 4);
        head_.clear();
        if (inner_) {
            TRY(inner_->start(to_peer));
            if (!waiting_.empty()) TRY(inner_->send(waiting_, to_peer));
        } else {
            to_peer.insert(to_peer.end(), waiting_.begin(), waiting_.end());
        }
        waiting_.clear();
        return receive_inner(as_bytes(rest), plain, to_peer);
    }

    Result<> send(ByteView plain, Bytes& to_peer) override {
        if (!through_) {
            waiting_.insert(waiting_.end(), plain.begin(), plain.end());
            return {};
        }
        if (inner_) return inner_->send(plain, to_peer);
        to_peer.insert(to_peer.end(), plain.begin(), plain.end());
        return {};
    }

    void close(Bytes& to_peer) override {
        if (through_ && inner_) inner_->close(to_peer);
    }
    bool closed_by_peer() const override { return inner_ && inner_->closed_by_peer(); }
    bool is_open() const override { return through_ && (!inner_ || inner_->is_open()); }

  private:
    Result<> receive_inner(ByteView from_peer, Bytes& plain, Bytes& to_peer) {
        if (inner_) return inner_->receive(from_peer, plain, to_peer);
        plain.insert(plain.end(), from_peer.begin(), from_peer.end());
        return {};
    }

    std::string request_;
    std::unique_ptr<net::ByteFilter> inner_;
    std::string head_;
    Bytes waiting_;
    bool through_ = false;
};

}  // namespace

Result<Proxy> parse_proxy(const std::string& text) {
    std::string_view rest = text;
    if (const std::size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
        if (rest.substr(0, scheme) != "http") {
            return fail(ErrorCode::no_support, "proxy '{}': only http:// is possible",
                        rest.substr(0, scheme));
        }
        rest = rest.substr(scheme + 3);
    }
    Proxy proxy;
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
        proxy.credentials = rest.substr(0, at);
        rest = rest.substr(at + 1);
    }
    rest = rest.substr(0, rest.find('/'));
    const std::size_t bracket = rest.find(']');
    const std::size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
    proxy.host = rest.substr(0, colon);
    if (proxy.host.size() > 2 && proxy.host[0] == '[')
        proxy.host = proxy.host.substr(1, proxy.host.size() - 2);
    bool good = !proxy.host.empty();
    if (colon != std::string_view::npos) {
        const std::string_view port = rest.substr(colon + 1);
        const auto [end, error] =
            std::from_chars(port.data(), port.data() + port.size(), proxy.port);
        good = good && error == std::errc{} && end == port.data() + port.size() && proxy.port != 0;
    }
    // Its text may hold a password: it is not repeated.
    if (!good) return fail(ErrorCode::invalid_argument, "the proxy is not http://HOST:PORT");
    return proxy;
}

std::unique_ptr<net::ByteFilter> make_connect_filter(const std::string& target, const Proxy& proxy,
                                                     std::unique_ptr<net::ByteFilter> inner) {
    std::string request = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", target);
    if (!proxy.credentials.empty())
        request += fmt::format("Proxy-Authorization: Basic {}\r\n", net::base64(proxy.credentials));
    return std::make_unique<ConnectFilter>(request + "\r\n", std::move(inner));
}

}  // namespace segue::spice::client
