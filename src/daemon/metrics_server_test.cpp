// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/metrics_server.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "net/connect.h"

namespace segue {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// What the server answers to `request`, until it closes.
std::string answer_to(const std::string& request) {
    auto loop = make_asio_loop();
    const std::string path = "/tmp/segue-metrics-" + std::to_string(getpid());
    auto server = MetricsServer::make(*loop, path, {}, [] { return std::string("segue_up 1\n"); });
    if (!server) return server.error().message;
    net::Resolver resolver(*loop);
    std::unique_ptr<net::Connection> connection;
    std::string got;
    net::Connector connector(
        *loop, resolver, net::Address::of_unix(path), 5s, [&](Result<net::Descriptor> socket) {
            if (!socket) return loop->stop();
            connection = std::make_unique<net::Connection>(
                *loop, std::move(*socket),
                net::Connection::Handlers{
                    .on_input = [&](ByteView bytes) { got.append(bytes.begin(), bytes.end()); },
                    .on_closed = [&](const Error&) { loop->stop(); },
                    .on_drained = {},
                    .on_filter_open = {},
                    .on_end_of_input = {}});
            connection->start();
            connection->send(Bytes(request.begin(), request.end()));
        });
    loop->run();
    return got;
}

TEST(MetricsServer, AnswersGetMetrics) {
    const std::string got = answer_to("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(got, HasSubstr("Content-Length: 11\r\n"));
    EXPECT_THAT(got, EndsWith("\r\n\r\nsegue_up 1\n"));
}

TEST(MetricsServer, RefusesEverythingElse) {
    EXPECT_THAT(answer_to("GET /secret HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404"));
    EXPECT_THAT(answer_to(std::string(9000, 'x')), StartsWith("HTTP/1.1 431"));
}

}  // namespace
}  // namespace segue
