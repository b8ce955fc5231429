/* chainrule lesson: the demo's lesson, which is examples/demo.c as it stands, in the terminal. */
#include "commands.h"

#ifdef _WIN32

int lesson_run(int n, char **words)
{
    (void)n, (void)words;
    fprintf(stderr, "chainrule lesson: not under Windows\n");
    return STATUS_ERROR;
}

#else
#include "dataset.h"

static const char *images_path;
#define DIGITS_PATHS images_path
#define DEMO_MAIN    lesson
static int lesson(int argc, char **argv);
#include "demo.c"

int lesson_run(int n, char **words)
{
    char name[] = "lesson";
    char *arguments[] = { name, n > 0 ? words[0] : NULL, NULL };
    images_path = digits_path(NULL);
    if (!images_path) {
        fprintf(stderr,
                "chainrule lesson: the digits are not there; CHAINRULE_DIGITS says where "
                "data/digits.csv of chainrule lies\n");
        return STATUS_ERROR;
    }
    return lesson(n > 0 ? 2 : 1, arguments) ? STATUS_ERROR : STATUS_GOOD;
}

#endif
