/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loads of the test guest: one static program, one function a load. */
#pragma once
#include <stdint.h>

/* Seconds on the guest's monotonic clock. */
double load_now(void);
/* Sleeps until `*next`, then moves it on by `period` seconds. Late turns are not dropped. */
void load_pace(double* next, double period);
/* Prints to the serial line in one write, so that lines of two loads never mix. */
void load_print(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* Says what failed, with errno, and ends this load only. */
void load_die(const char* what) __attribute__((noreturn));

/* The virtio-serial port with this name, open and never waiting: there is no udev here. */
int load_open_port(const char* name);

int load_tick(int count, char** words);
int load_dirty(int count, char** words);
int load_paint(int count, char** words);
int load_udp(int count, char** words);
int load_disk(int count, char** words);
int load_pipe(int count, char** words);
int load_beep(int count, char** words);
int load_keys(int count, char** words);
int load_pointer(int count, char** words);
int load_agent(int count, char** words);
int load_listen(int count, char** words);
