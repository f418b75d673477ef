#pragma once
#include <arpa/inet.h>
#include <natpmp.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

// Milliseconds of the monotonic clock.
static inline int64_t starling_natpmp_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// Waits for the answer to the request that was sent; the library repeats it now and then.
static inline int starling_natpmp_answer(natpmp_t *client, int64_t deadline, natpmpresp_t *answer) {
  for (;;) {
    int result = readnatpmpresponseorretry(client, answer);
    if (result != NATPMP_TRYAGAIN) return result;
    int64_t left = deadline - starling_natpmp_now();
    if (left <= 0) return NATPMP_ERR_NOGATEWAYSUPPORT;
    struct timeval wait = {0, 0};
    getnatpmprequesttimeout(client, &wait);
    int64_t repeat = (int64_t)wait.tv_sec * 1000 + wait.tv_usec / 1000 + 1;
    struct pollfd entry = {client->s, POLLIN, 0};
    poll(&entry, 1, (int)(repeat < left ? repeat : left));
  }
}

// Asks the gateway (an IPv4 address; null for the system's) for its external address and a TCP mapping of `port`. Blocks for at most
// `milliseconds`. A lifetime of 0 takes the mapping back. Returns 0, or one of the library's errors.
static inline int starling_natpmp_map(
    const char *gateway, uint16_t port, uint32_t seconds, int milliseconds, uint32_t *external, uint16_t *external_port, uint32_t *granted) {
  natpmp_t client;
  in_addr_t forced = gateway ? inet_addr(gateway) : 0;
  int result = initnatpmp(&client, gateway != 0, forced);
  if (result != 0) return result;
  int64_t deadline = starling_natpmp_now() + milliseconds;
  natpmpresp_t answer;
  result = sendpublicaddressrequest(&client) < 0 ? NATPMP_ERR_SENDERR : starling_natpmp_answer(&client, deadline, &answer);
  if (result == 0) {
    *external = ntohl(answer.pnu.publicaddress.addr.s_addr);
    result = sendnewportmappingrequest(&client, NATPMP_PROTOCOL_TCP, port, seconds ? port : 0, seconds) < 0
                 ? NATPMP_ERR_SENDERR
                 : starling_natpmp_answer(&client, deadline, &answer);
  }
  if (result == 0) {
    *external_port = answer.pnu.newportmapping.mappedpublicport;
    *granted = answer.pnu.newportmapping.lifetime;
  }
  closenatpmp(&client);
  return result;
}
