/* SPDX-License-Identifier: LGPL-2.1-or-later
 * Preloaded into a QEMU 7.2 primary under -accel tcg, where COLO has two defects that KVM has not:
 *
 * 1. The migration thread waits for vCPU work with pthread_cond_wait() on QEMU's big lock without
 *    holding it (migration/colo.c releases it before the RAM pass; softmmu/physmem.c then calls
 *    run_on_cpu()). Here such a wait takes the lock for a bounded wait, after kicking every vCPU
 * again, because the kick of the work itself may have been lost; the caller tests its condition in
 * a loop.
 * 2. The dirty bitmap is cleared without telling the vCPUs' software TLBs, so later stores through
 * old entries are not seen as dirty. Here each vCPU is told to flush its TLB while the VM is
 * stopped and the bitmap has been read: when the message vmstate-size leaves.
 *
 * Build: cc -O2 -shared -fPIC -o colo_shim.so colo_shim.c
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef int wait_function(pthread_cond_t*, pthread_mutex_t*);
typedef int clock_wait_function(pthread_cond_t*, pthread_mutex_t*, clockid_t,
                                const struct timespec*);
typedef ssize_t sendmsg_function(int, const struct msghdr*, int);

enum { WAIT_NANOSECONDS = 1000000, VMSTATE_SIZE = 4 };

static struct {
    wait_function* cond_wait;
    clock_wait_function* cond_clockwait;
    sendmsg_function* sendmsg;
    void* (*qemu_get_cpu)(int);
    void (*qemu_cpu_kick)(void*);
    void (*tlb_flush)(void*);
} real;

__attribute__((constructor)) static void find_functions(void) {
    real.cond_wait = (wait_function*)dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    real.cond_clockwait = (clock_wait_function*)dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    real.sendmsg = (sendmsg_function*)dlsym(RTLD_NEXT, "sendmsg");
    *(void**)&real.qemu_get_cpu = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
    *(void**)&real.qemu_cpu_kick = dlsym(RTLD_DEFAULT, "qemu_cpu_kick");
    *(void**)&real.tlb_flush = dlsym(RTLD_DEFAULT, "tlb_flush");
}

static void for_each_cpu(void (*call)(void*)) {
    if (!real.qemu_get_cpu || !call) {
        return;
    }
    for (int index = 0;; ++index) {
        void* cpu = real.qemu_get_cpu(index);
        if (!cpu) {
            return;
        }
        call(cpu);
    }
}

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
    static __thread pid_t self;
    if (!self) {
        self = (pid_t)syscall(SYS_gettid);
    }
    if (mutex->__data.__owner == self || !real.cond_clockwait) {
        return real.cond_wait(condition, mutex);
    }
    struct timespec until;
    pthread_mutex_lock(mutex);
    for_each_cpu(real.qemu_cpu_kick);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NANOSECONDS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec += 1;
        until.tv_nsec -= 1000000000;
    }
    real.cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(mutex);
    return 0;
}

/* The end-of-file byte of the RAM pass waits in QEMU's buffer and leaves together with the message.
 */
static int is_vmstate_size(const struct msghdr* message) {
    static const uint8_t expected[] = {0, 0, 0, 0, VMSTATE_SIZE};
    return message->msg_iovlen == 1 && message->msg_iov[0].iov_len == sizeof(expected) &&
           memcmp(message->msg_iov[0].iov_base, expected, sizeof(expected)) == 0;
}

ssize_t sendmsg(int descriptor, const struct msghdr* message, int flags) {
    if (is_vmstate_size(message)) {
        for_each_cpu(real.tlb_flush);
    }
    return real.sendmsg(descriptor, message, flags);
}
