// Preloaded into a store (LD_PRELOAD): while the file named by FAIL_FLAG exists, writes to tidings.db fail, and those to
// its write-ahead log do not.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd) {
  const char *flag = getenv("FAIL_FLAG");
  if (!flag || access(flag, F_OK) != 0) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  const char *name = "/tidings.db";
  size_t size = strlen(name);
  return length >= (ssize_t)size && memcmp(path + length - size, name, size) == 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
  if (!fails(fd)) return real(fd, bytes, count, offset);
  errno = EIO;
  return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }
