/* Numbers in texts are the same in every locale, both ways: in German, whose decimal point
 * is a comma, and in Pashto, where it has two bytes. The locales are made here, where
 * localedef and its sources are installed. */
#define _GNU_SOURCE /* setenv, mkdtemp */
#include "flow_reports.h"
#include "tap.h"
#include <chainrule.h>
#include <locale.h>
#include <stdlib.h>

static void check_texts(const char *locale)
{
    char text[500];
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_scalar(ctx, 0.75), *out = NULL;
    cr_format(cr_scalar(ctx, 1234.5625, .dtype = CR_F64), text, sizeof text);
    is_text(text, "f64 []\n1234.56", "%s: cr_format", locale);
    ok(!cr_mul(x, 1.5e300) && strstr(cr_message(ctx), "1.5e+300"), "%s: messages",
       locale);
    diag("%s", cr_message(ctx));
    cr_clear(ctx);
    cr_fail(ctx, CR_ERR_ARGUMENT, "%.2f of %5.1f%% in %s, %lld, %zu, %-4d| %c %Lg", 0.25,
            12.5, "texts", 123456789012LL, sizeof text, 7, 'x', 0.5L);
    is_text(cr_message(ctx), "0.25 of  12.5% in texts, 123456789012, 500, 7   | x 0.5",
            "%s: cr_fail", locale);
    cr_clear(ctx);
    cr_call(ctx, cr_op_find("leaky_relu"), (cr_tensor *[]){ cr_neg(x) }, 1,
            "negative_slope=0.125", &out, 1);
    is_near(cr_item(out), -0.09375, 0, "%s: attributes", locale);
    cr_call(ctx, cr_op_find("clamp"), &x, 1, "min=-1.5e-1,max=.5", &out, 1);
    is_near(cr_item(out), 0.5, 0, "%s: with exponents", locale);
    is_text(cr_message(ctx), "", "%s: no error", locale);
    out = NULL;
    cr_call(ctx, cr_op_find("leaky_relu"), &x, 1, "negative_slope=0,125", &out, 1);
    ok(!out && cr_error(ctx), "%s: a comma separates attributes", locale);
    cr_close(ctx);
}

/* As it is in C, where this is called first. */
static void check_report(const char *locale)
{
    static char first[1 << 16], text[1 << 16];
    const cr_flow_report *report = flow_report_made("sigmoid50");
    cr_flow_text(report, (cr_flow_text_opts){ 0 }, text, sizeof text);
    if (!first[0])
        memcpy(first, text, sizeof first);
    is_text(text, first, "%s: the report of gradient flow", locale);
    flow_reports_free();
}

static bool make_locale(const char *folder, const char *language, const char *name)
{
    char command[300];
    snprintf(command, sizeof command, "localedef -c -i %s -f UTF-8 %s/%s >/dev/null 2>&1",
             language, folder, name);
    (void)!system(command); /* complains of what it does not need */
    return setlocale(LC_ALL, name) && strcmp(localeconv()->decimal_point, ".") != 0;
}

int main(void)
{
    static const char *const languages[] = { "de_DE", "ps_AF" };
    char folder[] = "/tmp/chainrule-locale-XXXXXX", name[40], command[100];
    check_texts("C");
    check_report("C");
    if (!mkdtemp(folder))
        return 1;
    setenv("LOCPATH", folder, 1);
    for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++) {
        snprintf(name, sizeof name, "%s.UTF-8", languages[i]);
        if (make_locale(folder, languages[i], name)) {
            check_texts(languages[i]);
            check_report(languages[i]);
        } else
            skip(1, "this locale cannot be had: no localedef, or no sources of locales");
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    (void)!system(command);
    return done_testing();
}
