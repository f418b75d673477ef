#pragma once
#include <pthread.h>
#include <sys/socket.h>
#include <uv.h>

// GNU functions that Swift's Glibc module leaves out, as the manual pages declare them.
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int pthread_setname_np(pthread_t thread, const char *name);
