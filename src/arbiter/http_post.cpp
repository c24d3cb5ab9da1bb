// SPDX-License-Identifier: LGPL-2.1-or-later
#include "arbiter/http_post.h"

#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "base/check.h"

namespace segue::arbiter {
namespace {

long to_ms(Duration duration) {
    return static_cast<long>(duration / std::chrono::milliseconds(1));
}

// Sockets that no child inherits.
curl_socket_t open_socket(void*, curlsocktype, curl_sockaddr* peer) {
    return ::socket(peer->family, peer->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, peer->protocol);
}

void init_library() {
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    ENSURE(done == CURLE_OK);
}

ErrorCode code_of(CURLcode code) {
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT: return ErrorCode::timeout;
        case CURLE_WRITE_ERROR: return ErrorCode::limit_exceeded;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CACERT_BADFILE: return ErrorCode::auth_failed;
        default: return ErrorCode::connection_lost;
    }
}

}  // namespace

// The library tells which descriptors it waits for and for how long, and is told what came. It is
// called from the loop alone, never from inside one of its own callbacks.
class HttpPost::Curl {
  public:
    explicit Curl(Loop& loop) : loop_(loop) {
        init_library();
        multi_ = curl_multi_init();
        easy_ = curl_easy_init();
        ENSURE(multi_ != nullptr && easy_ != nullptr);
        timer_ = loop_.make_timer([this] { act(CURL_SOCKET_TIMEOUT, 0); });
        curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Curl::on_socket);
        curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
        curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Curl::on_timer);
        curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    }
    ~Curl() {
        forget();
        curl_easy_cleanup(easy_);
        curl_multi_cleanup(multi_);
        if (headers_ != nullptr) curl_slist_free_all(headers_);
    }
    Curl(const Curl&) = delete;
    Curl& operator=(const Curl&) = delete;

    void start(const Request& request, Answer answer) {
        forget();
        body_.clear();
        error_[0] = '\0';
        answer_ = std::move(answer);
        set_up(request);
        running_ = true;
        // Asks for its timer, which begins the work.
        const CURLMcode added = curl_multi_add_handle(multi_, easy_);
        ENSURE(added == CURLM_OK);
    }

  private:
    void set_up(const Request& request) {
        curl_easy_reset(easy_);
        if (headers_ == nullptr) {
            headers_ = curl_slist_append(nullptr, "Content-Type: application/json");
        }
        const auto set = [this](CURLoption option, auto value) {
            const CURLcode code = curl_easy_setopt(easy_, option, value);
            ENSURE(code == CURLE_OK);
        };
        set(CURLOPT_URL, request.url.c_str());
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_PROXY, "");
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_HTTPHEADER, headers_);
        set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
        set(CURLOPT_COPYPOSTFIELDS, request.body.c_str());
        set(CURLOPT_TIMEOUT_MS, to_ms(request.bound));
        set(CURLOPT_WRITEFUNCTION, &Curl::on_body);
        set(CURLOPT_WRITEDATA, this);
        set(CURLOPT_ERRORBUFFER, error_);
        set(CURLOPT_OPENSOCKETFUNCTION, &open_socket);
        if (request.tls_directory.empty()) return;
        const std::string folder = request.tls_directory + "/";
        set(CURLOPT_CAINFO, (folder + "ca-cert.pem").c_str());
        set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
        if (::access((folder + "client-cert.pem").c_str(), F_OK) != 0) return;
        set(CURLOPT_SSLCERT, (folder + "client-cert.pem").c_str());
        set(CURLOPT_SSLKEY, (folder + "client-key.pem").c_str());
    }

    void forget() {
        answer_ = nullptr;
        if (!std::exchange(running_, false)) return;
        curl_multi_remove_handle(multi_, easy_);
    }

    void act(curl_socket_t socket, int ready) {
        int count = 0;
        curl_multi_socket_action(multi_, socket, ready, &count);
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            auto result = result_of(message->data.result);
            const Answer answer = std::exchange(answer_, nullptr);
            forget();
            // Nothing behind this: it may destroy us.
            if (answer) answer(std::move(result));
            return;
        }
    }

    Result<std::string> result_of(CURLcode code) {
        if (code != CURLE_OK) {
            return fail(code_of(code), "{}", error_[0] != '\0' ? error_ : curl_easy_strerror(code));
        }
        long status = 0;
        curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
        if (status == 200) return std::move(body_);
        return fail(ErrorCode::operation_failed, "it answers with status {}", status);
    }

    static std::size_t on_body(char* bytes, std::size_t, std::size_t size, void* self) {
        std::string& body = static_cast<Curl*>(self)->body_;
        if (size > kMaxAnswer - body.size()) return 0;
        body.append(bytes, size);
        return size;
    }
    static int on_timer(CURLM*, long ms, void* self) {
        Timer& timer = *static_cast<Curl*>(self)->timer_;
        ms < 0 ? timer.cancel() : timer.start(std::chrono::milliseconds(ms));
        return 0;
    }
    static int on_socket(CURL*, curl_socket_t socket, int what, void* data, void*) {
        Curl& self = *static_cast<Curl*>(data);
        if (what == CURL_POLL_REMOVE) {
            self.watches_.erase(socket);
            return 0;
        }
        std::unique_ptr<Watch>& watch = self.watches_[socket];
        if (!watch) {
            watch = self.loop_.watch(socket, [&self, socket](Loop::Ready ready) {
                self.act(socket, ready.readable ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
            });
        }
        watch->set_interest((what & CURL_POLL_IN) != 0, (what & CURL_POLL_OUT) != 0);
        return 0;
    }

    Loop& loop_;
    CURLM* multi_ = nullptr;
    CURL* easy_ = nullptr;
    curl_slist* headers_ = nullptr;
    std::unique_ptr<Timer> timer_;
    std::map<curl_socket_t, std::unique_ptr<Watch>> watches_;
    bool running_ = false;
    std::string body_;
    char error_[CURL_ERROR_SIZE] = {};
    Answer answer_;
};

HttpPost::HttpPost(Loop& loop) : curl_(std::make_unique<Curl>(loop)) {}

HttpPost::~HttpPost() = default;

void HttpPost::start(const Request& request, Answer answer) {
    curl_->start(request, std::move(answer));
}

}  // namespace segue::arbiter
