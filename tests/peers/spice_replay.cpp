// SPDX-License-Identifier: LGPL-2.1-or-later
// Replays a recording of a SPICE display to one client, at the pace of the recording, on whichever
// libspice-server.so.1 the loader finds: ours and stock's do the same work under one program.
//
//   spice-replay RECORDING TIMES PORT|SOCKET [compression=N] [streaming=N] [jpeg=N] [zlib=N]
//   spice-replay RECORDING TIMES SOCKET render=PATH
//
// With `render` no client is awaited: what the library draws into the guest's memory stands in PATH
// at the end, the primary surface and behind it each off-screen one that is left, by number.
//
// TIMES has a line for each command: nanoseconds since the first. It starts when a client's display
// channel is there. It prints "consumed" when the display has taken the last command, waits for the
// end of stdin, and prints the CPU time that the library used since the start, in microseconds: all
// of it, and that of the thread that draws, encodes and sends. What the replay itself takes, with
// nothing behind it, is in neither: it reads, and frees, on a thread whose time is not counted but
// for what that spends in the library's own calls.
#include <spice.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"

struct SpiceTimer {
    std::unique_ptr<segue::Timer> timer;
};
// On a descriptor of its own: the library may watch one anew before we have let go of it.
struct SpiceWatch {
    int descriptor = -1;
    std::unique_ptr<segue::Watch> watch;
};

namespace {

using segue::Duration;
using segue::Instant;
using segue::Loop;

// More commands waiting than any device's ring holds.
constexpr std::size_t kMostQueued = 4096;

std::unique_ptr<segue::RunLoop> the_loop;
SpiceReplay* the_replay = nullptr;
SpiceServer* the_server = nullptr;
std::mutex the_mutex;
std::deque<QXLCommandExt> the_commands;
std::deque<QXLCommandExt> the_cursor_commands;
std::vector<QXLCommandExt*> the_released;
bool the_client_is_here = false;
std::uint64_t the_called_ns = 0;  // what this thread spent in the library

std::uint64_t cpu_ns(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

template <class Call>
void in_library(const Call& call) {
    const std::uint64_t begun_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    call();
    the_called_ns += cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begun_ns;
}

// --- The core interface, on our own loop --------------------------------------------------------

SpiceTimer* timer_add(SpiceTimerFunc function, void* opaque) {
    return new SpiceTimer{the_loop->make_timer([=] { in_library([&] { function(opaque); }); })};
}
void timer_start(SpiceTimer* timer, uint32_t ms) {
    timer->timer->start(std::chrono::milliseconds(ms));
}
void timer_cancel(SpiceTimer* timer) {
    timer->timer->cancel();
}
void timer_remove(SpiceTimer* timer) {
    delete timer;
}
SpiceWatch* watch_add(int descriptor, int events, SpiceWatchFunc function, void* opaque) {
    auto* made = new SpiceWatch;
    made->descriptor = ::dup(descriptor);
    made->watch = the_loop->watch(made->descriptor, [=](Loop::Ready ready) {
        const int now = (ready.readable ? SPICE_WATCH_EVENT_READ : 0) |
                        (ready.writable ? SPICE_WATCH_EVENT_WRITE : 0);
        in_library([&] { function(descriptor, now, opaque); });
    });
    made->watch->set_interest((events & SPICE_WATCH_EVENT_READ) != 0,
                              (events & SPICE_WATCH_EVENT_WRITE) != 0);
    return made;
}
void watch_update(SpiceWatch* watch, int events) {
    watch->watch->set_interest((events & SPICE_WATCH_EVENT_READ) != 0,
                               (events & SPICE_WATCH_EVENT_WRITE) != 0);
}
void watch_remove(SpiceWatch* watch) {
    // Its own callback may ask for this.
    watch->watch->set_interest(false, false);
    the_loop->post([watch] {
        watch->watch.reset();
        ::close(watch->descriptor);
        delete watch;
    });
}
void channel_event(int event, SpiceChannelEventInfo* info) {
    if (info->type == SPICE_CHANNEL_DISPLAY && event == SPICE_CHANNEL_EVENT_INITIALIZED)
        the_client_is_here = true;
}

// --- The display device -------------------------------------------------------------------------

void attached(QXLInstance* instance) {
    QXLDevMemSlot slot{};
    slot.virt_end = ~0ul;
    spice_qxl_add_memslot(instance, &slot);
    spice_server_vm_start(the_server);
}
void set_compression_level(QXLInstance*, int) {}
void init_info(QXLInstance*, QXLDevInitInfo* info) {
    std::memset(info, 0, sizeof *info);
    info->num_memslots = 1;
    info->num_memslots_groups = 1;
    info->memslot_id_bits = 1;
    info->memslot_gen_bits = 1;
    info->n_surfaces = 1024;
}
int take(std::deque<QXLCommandExt>& from, QXLCommandExt* command) {
    const std::lock_guard lock(the_mutex);
    if (from.empty()) return 0;
    *command = from.front();
    from.pop_front();
    return 1;
}
int get_command(QXLInstance*, QXLCommandExt* command) {
    return take(the_commands, command);
}
int get_cursor_command(QXLInstance*, QXLCommandExt* command) {
    return take(the_cursor_commands, command);
}
int request_notice(QXLInstance*) {
    const std::lock_guard lock(the_mutex);
    return the_commands.empty() ? 1 : 0;
}
int request_cursor_notice(QXLInstance*) {
    const std::lock_guard lock(the_mutex);
    return the_cursor_commands.empty() ? 1 : 0;
}
void release(QXLInstance*, QXLReleaseInfoExt info) {
    const std::lock_guard lock(the_mutex);
    the_released.push_back(reinterpret_cast<QXLCommandExt*>(info.info->id));
}
void notify_update(QXLInstance*, uint32_t) {}
int flush_resources(QXLInstance*) {
    return 1;
}

QXLInterface device_interface() {
    QXLInterface made{};
    made.base.type = SPICE_INTERFACE_QXL;
    made.base.description = "replay";
    made.base.major_version = SPICE_INTERFACE_QXL_MAJOR;
    made.base.minor_version = SPICE_INTERFACE_QXL_MINOR;
    made.attached_worker = attached;
    made.set_compression_level = set_compression_level;
    made.get_init_info = init_info;
    made.get_command = get_command;
    made.req_cmd_notification = request_notice;
    made.release_resource = release;
    made.get_cursor_command = get_cursor_command;
    made.req_cursor_notification = request_cursor_notice;
    made.notify_update = notify_update;
    made.flush_resources = flush_resources;
    return made;
}

// --- What was drawn -----------------------------------------------------------------------------

// The replay keeps the primary surface that it makes to itself, so a like one of ours takes its
// place before anything is drawn. Pixels of 32 bits only.
class Render {
  public:
    Render(QXLInstance& display, const char* recording, std::string path)
        : display_(display), path_(std::move(path)) {
        // "SPICE_REPLAY 1", the event of the primary surface, its width, height, stride and format.
        std::ifstream file(recording);
        std::string line;
        std::getline(file, line);
        std::getline(file, line);
        file >> width_ >> height_;
    }
    // Behind each command that the replay gave.
    void see(const QXLCommandExt& command) {
        if (pixels_.empty()) replace_primary();
        if (command.cmd.type != QXL_CMD_SURFACE) return;
        const auto& surface = *reinterpret_cast<const QXLSurfaceCmd*>(command.cmd.data);
        if (surface.type == QXL_SURFACE_CMD_CREATE) {
            const auto& made = surface.u.surface_create;
            surfaces_[surface.surface_id] = {made.width, made.height,
                                             reinterpret_cast<const char*>(made.data)};
        } else {
            surfaces_.erase(surface.surface_id);
        }
    }
    bool write() {
        surfaces_[0] = {width_, height_, pixels_.data()};
        std::ofstream file(path_, std::ios::binary);
        for (const auto& [id, surface] : surfaces_) {
            QXLRect everything{0, 0, static_cast<int>(surface.height),
                               static_cast<int>(surface.width)};
            QXLRect dirty{};
            spice_qxl_update_area(&display_, id, &everything, &dirty, 1, 1);
            file.write(surface.pixels,
                       static_cast<std::streamsize>(surface.width * surface.height * 4ul));
        }
        return file.good();
    }

  private:
    struct Surface {
        std::uint32_t width = 0;
        std::uint32_t height = 0;
        const char* pixels = nullptr;
    };
    void replace_primary() {
        spice_qxl_destroy_primary_surface(&display_, 0);
        pixels_.resize(width_ * height_ * 4ul);
        QXLDevSurfaceCreate made{};
        made.width = width_;
        made.height = height_;
        made.stride = static_cast<int>(width_) * 4;
        made.format = SPICE_SURFACE_FMT_32_xRGB;
        made.mem = reinterpret_cast<QXLPHYSICAL>(pixels_.data());
        spice_qxl_create_primary_surface(&display_, 0, &made);
    }

    QXLInstance& display_;
    std::string path_;
    std::uint32_t width_ = 0;
    std::uint32_t height_ = 0;
    std::vector<char> pixels_;
    std::map<std::uint32_t, Surface> surfaces_;
};

// --- The replay ---------------------------------------------------------------------------------

// Of the library, on whichever thread.
std::uint64_t library_us() {
    return (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns(CLOCK_THREAD_CPUTIME_ID) + the_called_ns) /
           1000;
}

// Of the thread that draws, encodes and sends, which both libraries call by the same name.
std::uint64_t worker_us() {
    std::uint64_t sum_ns = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm"), name);
        std::uint64_t ran_ns = 0;
        if (name == "SPICE Worker" && std::ifstream(task.path() / "schedstat") >> ran_ns)
            sum_ns += ran_ns;
    }
    return sum_ns / 1000;
}

class Player {
  public:
    // Without `render`, to a client.
    Player(QXLInstance& display, const std::string& times, Render* render)
        : display_(display), render_(render), timer_(the_loop->make_timer([this] { play(); })) {
        std::ifstream file(times);
        for (std::int64_t time = 0; file >> time;)
            times_.push_back(Duration(time));
    }
    void start() { timer_->start(Duration{}); }
    std::uint64_t started_library() const { return started_library_; }
    std::uint64_t started_worker() const { return started_worker_; }

  private:
    void play() {
        if (render_ == nullptr && !is_ready()) return;
        if (!began_) {
            began_ = the_loop->now();
            started_library_ = library_us();
            started_worker_ = worker_us();
        }
        free_released();
        const Duration passed = the_loop->now() - *began_;
        bool gave = false;
        while (!over_ && waiting() < kMostQueued &&
               (count_ >= times_.size() || times_[count_] <= passed)) {
            give();
            gave = true;
        }
        if (gave) in_library([this] { spice_qxl_wakeup(&display_); });
        if (over_ && waiting() == 0) return finish();
        timer_->start(std::chrono::milliseconds(1));
    }
    bool is_ready() {
        if (!the_client_is_here) timer_->start(std::chrono::milliseconds(5));
        return the_client_is_here && (has_settled_ || settle());
    }
    // What a server does for a link before and after it (keys for the next) is none of the
    // display's cost: it is over when the process has rested for a second.
    bool settle() {
        constexpr std::uint64_t kRest_us = 3000;
        const std::uint64_t now_us = library_us();
        constexpr int kMostTurns = 10;
        has_settled_ = (settling_us_ && now_us - *settling_us_ < kRest_us) || ++turns_ > kMostTurns;
        settling_us_ = now_us;
        if (!has_settled_) timer_->start(std::chrono::seconds(1));
        return has_settled_;
    }
    static void free_released() {
        std::vector<QXLCommandExt*> released;
        {
            const std::lock_guard lock(the_mutex);
            released.swap(the_released);
        }
        for (QXLCommandExt* command : released)
            spice_replay_free_cmd(the_replay, command);
    }
    static std::size_t waiting() {
        const std::lock_guard lock(the_mutex);
        return the_commands.size() + the_cursor_commands.size();
    }
    void give() {
        QXLCommandExt* command = spice_replay_next_cmd(the_replay, &display_);
        ++count_;
        if (command == nullptr) {
            over_ = true;
        } else {
            if (render_ != nullptr) render_->see(*command);
            const std::lock_guard lock(the_mutex);
            auto& queue = command->cmd.type == QXL_CMD_CURSOR ? the_cursor_commands : the_commands;
            queue.push_back(*command);
        }
    }
    void finish() {
        if (render_ != nullptr) return finish_render();
        std::printf("consumed\n");
        std::fflush(stdout);
        end_ = the_loop->watch(STDIN_FILENO, [this](Loop::Ready) {
            char rest[64];
            if (::read(STDIN_FILENO, rest, sizeof rest) <= 0) the_loop->stop();
        });
        end_->set_interest(true, false);
    }
    void finish_render() {
        if (!render_->write()) std::fprintf(stderr, "spice_replay: cannot write the pixels\n");
        the_loop->stop();
    }

    QXLInstance& display_;
    Render* render_;
    std::unique_ptr<segue::Timer> timer_;
    std::unique_ptr<segue::Watch> end_;
    std::vector<Duration> times_;
    std::size_t count_ = 0;
    std::optional<Instant> began_;
    std::uint64_t started_library_ = 0;
    std::uint64_t started_worker_ = 0;
    bool over_ = false;
    bool has_settled_ = false;
    std::optional<std::uint64_t> settling_us_;
    int turns_ = 0;
};

int fail(const char* what) {
    std::fprintf(stderr, "spice_replay: %s\n", what);
    return 1;
}

}  // namespace

int main(int count, char** words) {
    if (count < 4) return fail("RECORDING TIMES SOCKET [compression=N] …");
    std::map<std::string, int> options = {
        {"compression", 2}, {"streaming", 1}, {"jpeg", 3}, {"zlib", 3}};
    std::string render_path;
    for (int at = 4; at < count; ++at) {
        const std::string word = words[at];
        if (word.rfind("render=", 0) == 0) {
            render_path = word.substr(7);
            continue;
        }
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos || options.count(word.substr(0, equals)) == 0)
            return fail("unknown option");
        options[word.substr(0, equals)] = std::atoi(word.c_str() + equals + 1);
    }
    the_loop = segue::make_asio_loop();
    std::FILE* file = std::fopen(words[1], "rb");
    the_replay = file == nullptr ? nullptr : spice_replay_new(file, 1024);
    if (the_replay == nullptr) return fail("cannot read the recording");

    SpiceCoreInterface core{};
    core.base.type = SPICE_INTERFACE_CORE;
    core.base.description = "replay";
    core.base.major_version = SPICE_INTERFACE_CORE_MAJOR;
    core.base.minor_version = SPICE_INTERFACE_CORE_MINOR;
    core.timer_add = timer_add;
    core.timer_start = timer_start;
    core.timer_cancel = timer_cancel;
    core.timer_remove = timer_remove;
    core.watch_add = watch_add;
    core.watch_update_mask = watch_update;
    core.watch_remove = watch_remove;
    core.channel_event = channel_event;
    the_server = spice_server_new();
    // A port of loopback or a unix socket. Stock compresses nothing for clients on unix sockets.
    if (const int port = std::atoi(words[3]); port > 0) {
        spice_server_set_addr(the_server, "127.0.0.1", SPICE_ADDR_FLAG_IPV4_ONLY);
        spice_server_set_port(the_server, port);
    } else {
        spice_server_set_addr(the_server, words[3], SPICE_ADDR_FLAG_UNIX_ONLY);
    }
    spice_server_set_noauth(the_server);
    spice_server_set_image_compression(the_server,
                                       static_cast<SpiceImageCompression>(options["compression"]));
    spice_server_set_streaming_video(the_server, options["streaming"]);
    spice_server_set_jpeg_compression(the_server,
                                      static_cast<spice_wan_compression_t>(options["jpeg"]));
    spice_server_set_zlib_glz_compression(the_server,
                                          static_cast<spice_wan_compression_t>(options["zlib"]));
    if (spice_server_init(the_server, &core) != 0) return fail("cannot listen");
    const QXLInterface interface = device_interface();
    QXLInstance display{};
    display.base.sif = &interface.base;
    display.id = 0;
    if (spice_server_add_interface(the_server, &display.base) != 0) return fail("no display");

    std::optional<Render> render;
    if (!render_path.empty()) render.emplace(display, words[1], render_path);
    Player player(display, words[2], render ? &*render : nullptr);
    player.start();
    std::printf("listening\n");
    std::fflush(stdout);
    the_loop->run();
    std::printf("library_us %llu worker_us %llu\n",
                static_cast<unsigned long long>(library_us() - player.started_library()),
                static_cast<unsigned long long>(worker_us() - player.started_worker()));
    std::fflush(stdout);
    // Nothing of what follows is measured, and stock does not come down cleanly with a client.
    std::_Exit(0);
}
