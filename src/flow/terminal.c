/* Terminals: the only place in flow that asks the system. */
#ifdef _WIN32
#include <io.h>
#else
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* struct winsize */
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE 1
#endif
#include <unistd.h>
/* glibc takes it from the kernel's headers, which are not there for every machine. */
#if !defined(__GLIBC__) || __has_include(<asm/ioctls.h>)
#include <sys/ioctl.h>
#endif
#endif

#include "terminal.h"

#include <stdlib.h>
#include <string.h>

static bool is_terminal(FILE *file)
{
#ifdef _WIN32
    return _isatty(_fileno(file)) != 0;
#else
    return isatty(fileno(file)) != 0;
#endif
}

bool cr__terminal_colour(FILE *file)
{
    const char *kind = getenv("TERM"), *none = getenv("NO_COLOR");
    return is_terminal(file) && !(none && *none) && kind && strcmp(kind, "dumb") != 0;
}

int cr__terminal_width(FILE *file)
{
    if (!is_terminal(file))
        return 0;
#ifdef TIOCGWINSZ
    struct winsize size;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0)
        return size.ws_col;
#endif
    return 0;
}
