// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether KVM works here, asked in a way that a broken one cannot hang us.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "qemu/probe.h"

namespace segue {
namespace {

// linux/kvm.h: KVM_GET_API_VERSION, which has been 12 since Linux 2.6.22.
constexpr unsigned long kKvmGetApiVersion = 0xAE00;
constexpr int kKvmApiVersion = 12;

}  // namespace

bool kvm_works(const std::string& device) {
    const int kvm = ::open(device.c_str(), O_RDWR | O_CLOEXEC);
    const bool works = kvm >= 0 && ::ioctl(kvm, kKvmGetApiVersion, 0) == kKvmApiVersion;
    if (kvm >= 0) ::close(kvm);
    return works;
}

ChildProbe::ChildProbe(Loop& loop, const std::function<bool()>& question, Duration bound,
                       std::function<void(bool)> callback)
    : callback_(std::move(callback)) {
    bound_ = loop.make_timer([this] { done(false); });
    pid_ = ::fork();
    if (pid_ == 0) ::_exit(question() ? 0 : 1);
    pidfd_ = pid_ > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)) : -1;
    if (pidfd_ < 0) {
        bound_->start(Duration{0});
        return;
    }
    watch_ = loop.watch(pidfd_, [this](Loop::Ready) {
        int status = 1;
        const bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
        if (ended) pid_ = -1;
        done(ended && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    });
    watch_->set_interest(true, false);
    bound_->start(bound);
}

ChildProbe::~ChildProbe() {
    watch_.reset();
    if (pid_ > 0) {
        // It may be stuck in the kernel: never waited for.
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, WNOHANG);
    }
    if (pidfd_ >= 0) ::close(pidfd_);
}

void ChildProbe::done(bool works) {
    bound_->cancel();
    if (watch_) watch_->set_interest(false, false);
    const auto call = std::exchange(callback_, nullptr);
    if (call) call(works);
}

}  // namespace segue
