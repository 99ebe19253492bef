/* Preloaded into a process: does something before its n-th call that changes a file below a folder.
 *
 * Counted are writes, truncations, syncs, renames, removals and creations, from C (HDF5's, too) as from Python. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KILL, TORN, FAIL, SIGNAL_INT, SIGNAL_TERM };
static char folder[4096];
static long count, at = -1;
static int mode;

void crash_arm(const char *path, long number, int what)
{
    strncpy(folder, path, sizeof folder - 1);
    count = 0;
    at = number;
    mode = what;
}

long crash_count(void) { return count; }

static int below(const char *path) { return folder[0] && strncmp(path, folder, strlen(folder)) == 0; }

static int fd_below(int fd)
{
    char link[64], path[4096];
    if (!folder[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return below(path);
}

/* 1 where the call has to fail, 2 where it has to write one half and end the process, else 0. */
static int turn(void)
{
    long now = __sync_fetch_and_add(&count, 1);
    if (at < 0 || now < at)
        return 0;
    if (mode == FAIL) {
        errno = ENOSPC;
        return 1;
    }
    if (now > at)
        return 0;
    if (mode == TORN)
        return 2;
    kill(getpid(), mode == SIGNAL_INT ? SIGINT : mode == SIGNAL_TERM ? SIGTERM : SIGKILL);
    return 0;
}

static void end(void) { kill(getpid(), SIGKILL); }

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    int what = fd_below(fd) ? turn() : 0;
    if (what == 1) return -1;
    if (what == 2) { real(fd, data, size / 2); end(); }
    return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    int what = fd_below(fd) ? turn() : 0;
    if (what == 1) return -1;
    if (what == 2) { real(fd, data, size / 2, offset); end(); }
    return real(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    int what = fd_below(fd) ? turn() : 0;
    if (what == 1) return -1;
    if (what == 2) { real(fd, data, size / 2, offset); end(); }
    return real(fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int number)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    int what = fd_below(fd) ? turn() : 0;
    if (what == 1) return -1;
    if (what == 2) end();
    return real(fd, parts, number);
}

ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t offset)
{
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    int what = fd_below(fd) ? turn() : 0;
    if (what == 1) return -1;
    if (what == 2) end();
    return real(fd, parts, number, offset);
}

#define ON_FILE(name, parameters, arguments, ...) \
    int name parameters \
    { \
        REAL(int, #name, __VA_ARGS__); \
        int what = fd_below(fd) ? turn() : 0; \
        if (what == 1) return -1; \
        if (what == 2) end(); \
        return real arguments; \
    }
ON_FILE(ftruncate, (int fd, off_t size), (fd, size), int, off_t)
ON_FILE(ftruncate64, (int fd, off64_t size), (fd, size), int, off64_t)
ON_FILE(fsync, (int fd), (fd), int)
ON_FILE(fdatasync, (int fd), (fd), int)

#define ON_PATH(name, parameters, arguments, path, ...) \
    int name parameters \
    { \
        REAL(int, #name, __VA_ARGS__); \
        int what = below(path) ? turn() : 0; \
        /* A full disk does not keep anybody from removing. */ \
        if (what == 1 && strcmp(#name, "unlink")) return -1; \
        if (what == 2) end(); \
        return real arguments; \
    }
ON_PATH(rename, (const char *from, const char *to), (from, to), to, const char *, const char *)
ON_PATH(unlink, (const char *path), (path), path, const char *)

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(int, #name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        unsigned permissions = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, unsigned) : 0; \
        va_end(rest); \
        int what = flags & (O_CREAT | O_TRUNC) && below(path) ? turn() : 0; \
        if (what == 1) return -1; \
        if (what == 2) end(); \
        return real(path, flags, permissions); \
    }
OPEN(open)
OPEN(open64)
