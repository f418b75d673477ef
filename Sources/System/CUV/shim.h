#pragma once
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <uv.h>

// GNU functions that Swift's Glibc module leaves out, as the manual pages declare them.
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int pthread_setname_np(pthread_t thread, const char *name);

// Of the calling thread alone, on Linux.
static inline void cuv_set_niceness(int niceness) { setpriority(PRIO_PROCESS, 0, niceness); }
