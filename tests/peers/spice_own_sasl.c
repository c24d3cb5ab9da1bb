// SPDX-License-Identifier: LGPL-2.1-or-later
// For spice-server's own test-sasl, linked with --wrap: between two of its cases the test forgets
// what SASL was asked. Stock asks on the test's own thread; a library that asks on another one must
// be done with the connection first, which it has closed then.
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>

extern GMainContext* basic_event_loop_get_context(void);
extern int __real_pthread_join(pthread_t thread, void** result);
extern int __real_socketpair(int domain, int type, int protocol, int pair[2]);

static int servers_end = -1;

int __wrap_socketpair(int domain, int type, int protocol, int pair[2]) {
    const int code = __real_socketpair(domain, type, protocol, pair);
    servers_end = pair[0];
    return code;
}

int __wrap_pthread_join(pthread_t thread, void** result) {
    const int code = __real_pthread_join(thread, result);
    while (fcntl(servers_end, F_GETFD) >= 0) {
        g_main_context_iteration(basic_event_loop_get_context(), FALSE);
        g_usleep(100);
    }
    return code;
}
