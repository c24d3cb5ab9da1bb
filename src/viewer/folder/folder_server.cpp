// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/folder/folder_server.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <libphodav/phodav.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <map>
#include <vector>

#include "base/log.h"
#include "viewer/folder/folder_mux.h"

namespace segue::viewer {
namespace {

// A socket with what waits to be written to it, on GLib's main loop.
class Line {
  public:
    using OnReady = std::function<void()>;

    Line(int socket, OnReady on_input) : socket_(socket), on_input_(std::move(on_input)) {
        ::fcntl(socket_, F_SETFL, ::fcntl(socket_, F_GETFL) | O_NONBLOCK);
        watch_input(true);
    }
    ~Line() {
        watch_input(false);
        if (output_source_ != 0) g_source_remove(output_source_);
        ::close(socket_);
    }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;

    // Nothing: there is nothing now. Empty: the other end is gone.
    std::optional<Bytes> read(std::size_t at_most) {
        Bytes bytes(at_most);
        const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
        bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return bytes;
    }
    void write(ByteView bytes) {
        output_.insert(output_.end(), bytes.begin(), bytes.end());
        flush();
    }
    std::size_t waiting() const { return output_.size(); }
    // Called when everything was written.
    void set_on_empty(OnReady on_empty) { on_empty_ = std::move(on_empty); }
    void watch_input(bool wanted) {
        if (wanted == (input_source_ != 0)) return;
        if (!wanted) {
            g_source_remove(input_source_);
            input_source_ = 0;
            return;
        }
        input_source_ = g_unix_fd_add(socket_, G_IO_IN, &Line::input_is_ready, this);
    }

  private:
    static gboolean input_is_ready(gint, GIOCondition, gpointer self) {
        // It may destroy this line, and the source with it.
        const OnReady on_input = static_cast<Line*>(self)->on_input_;
        on_input();
        return G_SOURCE_CONTINUE;
    }
    static gboolean output_is_ready(gint, GIOCondition, gpointer self) {
        auto& line = *static_cast<Line*>(self);
        line.flush();
        if (!line.output_.empty()) return G_SOURCE_CONTINUE;
        line.output_source_ = 0;
        const OnReady on_empty = line.on_empty_;
        if (on_empty) on_empty();
        return G_SOURCE_REMOVE;
    }
    void flush() {
        const ssize_t size = ::send(socket_, output_.data(), output_.size(), MSG_NOSIGNAL);
        if (size > 0) output_.erase(output_.begin(), output_.begin() + size);
        // Who cannot be written to any more is seen at the next read.
        if (size < 0 && errno != EAGAIN && errno != EINTR) output_.clear();
        if (!output_.empty() && output_source_ == 0)
            output_source_ = g_unix_fd_add(socket_, G_IO_OUT, &Line::output_is_ready, this);
    }

    const int socket_;
    const OnReady on_input_;
    OnReady on_empty_;
    Bytes output_;
    guint input_source_ = 0;
    guint output_source_ = 0;
};

class PhodavServerOfFolder final : public FolderServer {
  public:
    explicit PhodavServerOfFolder(const std::string& folder)
        : server_(phodav_server_new(folder.c_str())), loop_(g_main_loop_new(nullptr, FALSE)) {}
    ~PhodavServerOfFolder() override {
        clients_.clear();
        guest_.reset();
        g_object_unref(server_);
        g_main_loop_unref(loop_);
    }

    void serve(int socket) override {
        guest_ = std::make_unique<Line>(socket, [this] { on_guest(); });
        guest_->set_on_empty([this] { read_clients(true); });
        g_main_loop_run(loop_);
    }

  private:
    void on_guest() {
        const auto bytes = guest_->read(std::size_t{64} << 10);
        if (!bytes) return;
        if (bytes->empty()) return g_main_loop_quit(loop_);
        reader_.feed(*bytes);
        while (const auto piece = reader_.next())
            on_piece(*piece);
    }

    void on_piece(const FolderPiece& piece) {
        const auto found = clients_.find(piece.client);
        if (piece.data.empty()) {
            if (found != clients_.end()) end_client(found);
            return;
        }
        Line* client = found != clients_.end() ? found->second.get() : connect(piece.client);
        if (client == nullptr) return guest_->write(make_folder_piece({piece.client, {}}));
        client->write(piece.data);
        // One slow connection holds up the others: they share one stream.
        if (client->waiting() > kMaxWaiting) {
            guest_->watch_input(false);
            client->set_on_empty([this] { guest_->watch_input(true); });
        }
    }

    Line* connect(std::int64_t number) {
        if (clients_.size() >= kMaxClients) {
            log_warning("viewer", "shared folder: more than {} connections of the guest",
                        kMaxClients);
            return nullptr;
        }
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return nullptr;
        GError* error = nullptr;
        GSocket* socket = g_socket_new_from_fd(ends[1], &error);
        if (socket == nullptr) {
            ::close(ends[1]);
        } else {
            GSocketConnection* stream = g_socket_connection_factory_create_connection(socket);
            GInetAddress* loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
            GSocketAddress* address = g_inet_socket_address_new(loopback, 0);
            soup_server_accept_iostream(phodav_server_get_soup_server(server_), G_IO_STREAM(stream),
                                        address, address, &error);
            g_object_unref(address);
            g_object_unref(loopback);
            g_object_unref(stream);
            g_object_unref(socket);
        }
        if (error != nullptr) {
            log_warning("viewer", "shared folder: {}", error->message);
            g_error_free(error);
            ::close(ends[0]);
            return nullptr;
        }
        auto& line = clients_[number];
        line = std::make_unique<Line>(ends[0], [this, number] { on_client(number); });
        return line.get();
    }

    void on_client(std::int64_t number) {
        const auto bytes = clients_.at(number)->read(kMaxFolderPiece);
        if (!bytes) return;
        guest_->write(make_folder_piece({number, *bytes}));
        if (bytes->empty()) end_client(clients_.find(number));
        if (guest_->waiting() > kMaxWaiting) read_clients(false);
    }

    // A guest that was not read for its sake is read again.
    void end_client(std::map<std::int64_t, std::unique_ptr<Line>>::iterator client) {
        guest_->watch_input(true);
        clients_.erase(client);
    }

    void read_clients(bool wanted) {
        for (const auto& [number, line] : clients_)
            line->watch_input(wanted);
    }

    PhodavServer* server_;
    GMainLoop* loop_;
    std::unique_ptr<Line> guest_;
    FolderMuxReader reader_;
    std::map<std::int64_t, std::unique_ptr<Line>> clients_;
};

}  // namespace

Result<std::unique_ptr<FolderServer>> FolderServer::make(const std::string& folder) {
    struct stat info {};
    if (::stat(folder.c_str(), &info) != 0) return fail_errno("open", folder, errno);
    if (!S_ISDIR(info.st_mode))
        return fail(ErrorCode::invalid_argument, "shared folder: '{}' is no folder", folder);
    return std::make_unique<PhodavServerOfFolder>(folder);
}

}  // namespace segue::viewer
