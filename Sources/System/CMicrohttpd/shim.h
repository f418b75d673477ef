#pragma once
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

// Swift can call no variadic function and doesn't see the constants of the library's closed enums.

static const enum MHD_Result cmicrohttpd_yes = MHD_YES;
static const enum MHD_Result cmicrohttpd_no = MHD_NO;

/// Whether all of an answer has gone out.
static inline int cmicrohttpd_is_sent(enum MHD_RequestTerminationCode code) {
  return code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
}

/// The library's messages are about single clients and can't be limited.
static inline void cmicrohttpd_silence(void *context, const char *format, va_list arguments) {
  (void)context;
  (void)format;
  (void)arguments;
}

/// Leaves percent escapes alone.
static inline size_t cmicrohttpd_keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
  (void)context;
  (void)connection;
  return strlen(text);
}

static inline struct MHD_Daemon *cmicrohttpd_start_here(
    int listener, unsigned int connection_limit, unsigned int per_address_limit, unsigned int timeout_seconds,
    size_t connection_memory, unsigned int threads, MHD_AccessHandlerCallback access,
    MHD_RequestCompletedCallback completed, void *context) {
  struct MHD_OptionItem items[] = {
      {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)connection_limit, NULL},
      {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)per_address_limit, NULL},
      {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)timeout_seconds, NULL},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)connection_memory, NULL},
      {MHD_OPTION_LISTEN_SOCKET, (intptr_t)listener, NULL},
      {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
      {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
      {MHD_OPTION_END, 0, NULL},
  };
  return MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, access, context,
      MHD_OPTION_EXTERNAL_LOGGER, cmicrohttpd_silence, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed, context,
      MHD_OPTION_UNESCAPE_CALLBACK, cmicrohttpd_keep_escapes, NULL, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
}

struct cmicrohttpd_settings {
  int listener;
  unsigned int connection_limit, per_address_limit, timeout_seconds, threads;
  size_t connection_memory;
  MHD_AccessHandlerCallback access;
  MHD_RequestCompletedCallback completed;
  void *context;
  int niceness;
  struct MHD_Daemon *daemon;
};

static inline void *cmicrohttpd_start_aside(void *argument) {
  struct cmicrohttpd_settings *settings = (struct cmicrohttpd_settings *)argument;
  // Of the calling thread alone, on Linux; the threads that it starts inherit it.
  setpriority(PRIO_PROCESS, 0, settings->niceness);
  settings->daemon = cmicrohttpd_start_here(
      settings->listener, settings->connection_limit, settings->per_address_limit, settings->timeout_seconds,
      settings->connection_memory, settings->threads, settings->access, settings->completed, settings->context);
  return NULL;
}

/// Starts event threads on a listening socket, which belongs to the daemon from then on; NULL on failure. They run behind threads that
/// are less nice.
static inline struct MHD_Daemon *cmicrohttpd_start(
    int listener, unsigned int connection_limit, unsigned int per_address_limit, unsigned int timeout_seconds,
    size_t connection_memory, unsigned int threads, MHD_AccessHandlerCallback access,
    MHD_RequestCompletedCallback completed, void *context, int niceness) {
  struct cmicrohttpd_settings settings = {
      listener, connection_limit, per_address_limit, timeout_seconds, threads, connection_memory, access, completed,
      context, niceness, NULL};
  pthread_t thread;
  if (pthread_create(&thread, NULL, cmicrohttpd_start_aside, &settings) != 0) return NULL;
  pthread_join(thread, NULL);
  return settings.daemon;
}

/// How long a connection may be silent. On its event thread.
static inline void cmicrohttpd_set_timeout(struct MHD_Connection *connection, unsigned int seconds) {
  if (connection) MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/// The client's socket address, or NULL when unknown.
static inline const struct sockaddr *cmicrohttpd_client_address(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info ? info->client_addr : NULL;
}

/// Visits the header fields, or with `query` the query's arguments.
static inline void cmicrohttpd_each(
    struct MHD_Connection *connection, int query, MHD_KeyValueIterator visit, void *context) {
  MHD_get_connection_values(connection, query ? MHD_GET_ARGUMENT_KIND : MHD_HEADER_KIND, visit, context);
}

/// The first header field of a name, or NULL.
static inline const char *cmicrohttpd_header(struct MHD_Connection *connection, const char *name) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/// A response with a copy of the bytes; NULL without memory.
static inline struct MHD_Response *cmicrohttpd_response(const void *bytes, size_t count) {
  return MHD_create_response_from_buffer(count, (void *)bytes, MHD_RESPMEM_MUST_COPY);
}
