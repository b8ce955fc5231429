/* The harness of tap.h. */
#include "tap.h"

#include <stdlib.h>
#ifndef _WIN32
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static int tap_count, tap_failures;

void diag(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

TAP_FORMAT(4, 0)
static bool tap_check(bool passed, const char *file, int line, const char *format,
                      va_list args)
{
    tap_count++;
    printf("%sok %d - ", passed ? "" : "not ", tap_count);
    vprintf(format, args);
    printf("\n");
    if (!passed) {
        tap_failures++;
        diag("  failed at %s:%d", file, line);
    }
    return passed;
}

bool tap_ok(bool passed, const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tap_check(passed, file, line, format, args);
    va_end(args);
    return passed;
}

bool tap_near(double got, double want, double tolerance, const char *file, int line,
              const char *format, ...)
{
    bool passed = fabs(got - want) <= tolerance || (isnan(got) && isnan(want)) ||
                  (isinf(got) && isinf(want) && signbit(got) == signbit(want));
    va_list args;
    va_start(args, format);
    if (!tap_check(passed, file, line, format, args))
        diag("  got %.17g, want %.17g within %g", got, want, tolerance);
    va_end(args);
    return passed;
}

bool tap_int(int64_t got, int64_t want, const char *file, int line, const char *format,
             ...)
{
    va_list args;
    va_start(args, format);
    if (!tap_check(got == want, file, line, format, args))
        diag("  got %" PRId64 ", want %" PRId64, got, want);
    va_end(args);
    return got == want;
}

bool tap_text(const char *got, const char *want, const char *file, int line,
              const char *format, ...)
{
    bool passed = got && strcmp(got, want) == 0;
    va_list args;
    va_start(args, format);
    if (!tap_check(passed, file, line, format, args))
        diag("  got \"%s\", want \"%s\"", got ? got : "(null)", want);
    va_end(args);
    return passed;
}

int tap_parts(void)
{
    const char *share = getenv("TEST_SHARE"), *check = getenv("CHAINRULE_CHECK");
    const int parts = share && atoi(share) > 0 ? atoi(share) : 1;
    return check && *check == '1' ? 3 * parts : parts;
}

int tap_share(int n)
{
    const int parts = tap_parts();
    return n > parts ? n / parts : n > 0;
}

void skip(int n, const char *why)
{
    for (int i = 0; i < n; i++)
        printf("ok %d # SKIP %s\n", ++tap_count, why);
}

#ifdef _WIN32

/* There are no forks: here and now. */
bool tap_child(bool (*body)(void *arg), void *arg)
{
    return body(arg);
}

#else

bool tap_child(bool (*body)(void *arg), void *arg)
{
    int status = 1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bool passed = body(arg);
        fflush(NULL);
        _exit(passed ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

#endif

int done_testing(void)
{
    printf("1..%d\n", tap_count);
    if (tap_failures || !tap_count)
        diag("%d of %d failed", tap_failures, tap_count);
    return tap_failures || !tap_count ? 1 : 0;
}
