/*
 * The floor: what the kernel alone costs. One write(2) per socket, of bytes that are encoded once.
 *
 * It takes the commands of bench/process/commands.ts as lines on stdin and answers each with a line:
 *   start <hex>   listens on a free port of 127.0.0.1; the argument is the message. Answers the port.
 *   send <n>      writes n messages to each socket in one call of write(2)
 *   flood <n>     writes n rounds of one message to each socket, without a pause between them
 *   cpu           user and system time of the process, in µs
 * Linux only (epoll). The process ends with stdin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 1 << 20, MAX_MESSAGES = 1000 };

static unsigned char *message;
static size_t message_length;
static unsigned char *burst; /* MAX_MESSAGES copies of the message */
static char is_open[MAX_FDS];
static int highest, epoll_fd, listen_fd = -1;

static void close_client(int fd) {
  is_open[fd] = 0;
  close(fd);
}

static void write_all(int fd, const unsigned char *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, bytes, length);
    if (written < 0) { close_client(fd); return; }
    bytes += written;
    length -= (size_t)written;
  }
}

static void write_to_each(size_t messages) {
  for (int fd = 0; fd <= highest; fd++)
    if (is_open[fd]) write_all(fd, burst, messages * message_length);
}

static void watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static long start(const char *hex) {
  message_length = strspn(hex, "0123456789abcdef") / 2;
  message = malloc(message_length);
  for (size_t i = 0; i < message_length; i++) sscanf(hex + 2 * i, "%2hhx", &message[i]);
  burst = malloc(message_length * MAX_MESSAGES);
  for (size_t i = 0; i < MAX_MESSAGES; i++) memcpy(burst + i * message_length, message, message_length);
  listen_fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listen_fd, (struct sockaddr *)&address, size) < 0 || listen(listen_fd, 4096) < 0) return -1;
  getsockname(listen_fd, (struct sockaddr *)&address, &size);
  watch(listen_fd);
  return ntohs(address.sin_port);
}

static void accept_client(void) {
  int fd = accept(listen_fd, NULL, NULL);
  if (fd < 0) return;
  if (fd >= MAX_FDS) { close(fd); return; }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  is_open[fd] = 1;
  if (fd > highest) highest = fd;
  watch(fd);
  write_all(fd, (const unsigned char *)"ready", 5);
}

static long cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* A line is {"command":"send","argument":10}. */
static void run(const char *line) {
  const char *argument = strstr(line, "\"argument\":");
  argument = argument ? argument + strlen("\"argument\":") : "";
  if (*argument == '"') argument++;
  long value = 0;
  if (strstr(line, "\"start\"")) value = start(argument);
  else if (strstr(line, "\"cpu\"")) value = cpu();
  else if (strstr(line, "\"send\"")) write_to_each((size_t)atol(argument));
  else if (strstr(line, "\"flood\"")) for (long rounds = atol(argument); rounds > 0; rounds--) write_to_each(1);
  printf("{\"value\":%ld}\n", value);
  fflush(stdout);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  epoll_fd = epoll_create1(0);
  watch(STDIN_FILENO);
  static char lines[1 << 16];
  size_t length = 0;
  struct epoll_event events[256];
  for (;;) {
    int count = epoll_wait(epoll_fd, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listen_fd) { accept_client(); continue; }
      if (fd != STDIN_FILENO) {
        static char ignored[4096];
        if (read(fd, ignored, sizeof ignored) <= 0) close_client(fd);
        continue;
      }
      ssize_t got = read(fd, lines + length, sizeof lines - 1 - length);
      if (got <= 0) return 0;
      length += (size_t)got;
      lines[length] = 0;
      for (char *end; (end = memchr(lines, '\n', length)); ) {
        *end = 0;
        run(lines);
        size_t used = (size_t)(end + 1 - lines);
        memmove(lines, end + 1, length - used + 1);
        length -= used;
      }
    }
  }
}
