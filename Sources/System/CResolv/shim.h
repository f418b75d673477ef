#pragma once
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

// Asks the system's resolver (resolv.conf, EDNS, TCP for long answers) for records, and blocks until it has answered or given up.
// `server` and `port` stand for the name servers of resolv.conf unless `server` is null; it is an IPv4 address.
// Returns the length of the answer, which may be longer than `capacity`, or -1 with the reason in `*error` (an h_errno).
static inline int starling_resolve(
    const char *name, int type, const char *server, unsigned short port, unsigned char *answer, int capacity, int *error) {
  struct __res_state state;
  memset(&state, 0, sizeof state);
  if (res_ninit(&state) != 0) {
    *error = NETDB_INTERNAL;
    return -1;
  }
  state.retrans = 2;
  state.retry = 2;
  state.options |= RES_USE_EDNS0;
  if (server) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, server, &address.sin_addr) != 1) {
      res_nclose(&state);
      *error = NO_RECOVERY;
      return -1;
    }
    state.nsaddr_list[0] = address;
    state.nscount = 1;
  }
  int length = res_nquery(&state, name, ns_c_in, type, answer, capacity);
  *error = state.res_h_errno;
  res_nclose(&state);
  return length;
}
