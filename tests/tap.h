/* A test harness that prints TAP (testanything.org), all in this header:
 *
 *     int main(void)
 *     {
 *         ok(n == 3, "three elements, not %d", n);
 *         is_near(cr_item(y), 52.1711, 1e-4, "the tiny graph");
 *         return done_testing();
 *     }
 *
 * Checks count from one thread. Each says whether it passed, so that a loop can stop
 * early.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAP_UNUSED           __attribute__((unused))
#define TAP_FORMAT(at, from) __attribute__((unused, format(printf, at, from)))

static int tap_count, tap_failures;

/* A comment in the output. */
TAP_FORMAT(1, 2) static void diag(const char *format, ...)
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

TAP_FORMAT(4, 5)
static bool tap_ok(bool passed, const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tap_check(passed, file, line, format, args);
    va_end(args);
    return passed;
}

/* Equal infinities are near each other, and so are NaNs. */
TAP_FORMAT(6, 7)
static bool tap_near(double got, double want, double tolerance, const char *file,
                     int line, const char *format, ...)
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

TAP_FORMAT(5, 6)
static bool tap_int(int64_t got, int64_t want, const char *file, int line,
                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!tap_check(got == want, file, line, format, args))
        diag("  got %" PRId64 ", want %" PRId64, got, want);
    va_end(args);
    return got == want;
}

TAP_FORMAT(5, 6)
static bool tap_text(const char *got, const char *want, const char *file, int line,
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

/* Each takes a printf format and its arguments last: the name of the check. */
#define ok(condition, ...) tap_ok(!!(condition), __FILE__, __LINE__, __VA_ARGS__)
#define is_near(got, want, tolerance, ...) \
    tap_near(got, want, tolerance, __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...)  tap_int(got, want, __FILE__, __LINE__, __VA_ARGS__)
#define is_text(got, want, ...) tap_text(got, want, __FILE__, __LINE__, __VA_ARGS__)

/* n checks that cannot be made here. */
TAP_UNUSED static void skip(int n, const char *why)
{
    for (int i = 0; i < n; i++)
        printf("ok %d # SKIP %s\n", ++tap_count, why);
}

/* Runs body(arg) in a child process. True if the child returned true: it neither failed
 * nor was killed. What the child checks is not counted here. */
TAP_UNUSED static bool tap_child(bool (*body)(void *arg), void *arg)
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

/* Prints the plan; the exit status of main. No check at all is a failure. */
TAP_UNUSED static int done_testing(void)
{
    printf("1..%d\n", tap_count);
    if (tap_failures || !tap_count)
        diag("%d of %d failed", tap_failures, tap_count);
    return tap_failures || !tap_count ? 1 : 0;
}

#endif
