#!/bin/sh
# Writes the library as two files, OUT/chainrule.c and OUT/chainrule.h (OUT: build):
#
#     cc -O2 program.c chainrule.c -lm -lpthread
#
# Includes of the library's own files are replaced by their text. One whose own guard surrounds it
# comes once, unless a condition encloses the include; a template comes as often as it is included.
# What a source file, or a template in it, defines for the preprocessor ends with the source file.
set -eu
cd "$(dirname "$0")/.."
out=${1:-build}
mkdir -p "$out"

# amalgamate FILE...
amalgamate() {
    awk '
    function folder(path) { return substr(path, 1, length(path) - length(name(path))) }
    function name(path) { sub(/.*\//, "", path); return path }
    # The file that an include names: beside the one it stands in, or a public one.
    function find(what, from,    path) {
        path = folder(from) what
        while (match(path, /[^\/]+\/\.\.\//))
            path = substr(path, 1, RSTART - 1) substr(path, RSTART + RLENGTH)
        if ((getline line < path) >= 0) { close(path); return path }
        print "amalgamate: " from " includes " what ", which is not there" >"/dev/stderr"
        failed = 1
        exit 1
    }
    # Whether the file has a guard around it.
    function guarded(path,    text, found) {
        while ((getline text < path) > 0)
            if (text ~ /^#/) { found = text ~ /^#ifndef C[A-Z_0-9]*_H$/; break }
        close(path)
        return found
    }
    # conditional: whether an #if encloses the include.
    function emit(path, conditional, source,    text, word, depth, own) {
        own = guarded(path) ? 1 : 0
        if (own && path in done)
            return
        if (own && !conditional)
            done[path] = 1
        if (source) print "\n/* ==== " path " ==== */\n"
        while ((getline text < path) > 0) {
            if (text ~ /^# *if/) depth++
            if (text ~ /^# *endif/) depth--
            if (text ~ /^# *define CR__(TEMPLATE|BODY) /) {
                split(text, word, /"/)
                template[text ~ /TEMPLATE/ ? "CR__TEMPLATE" : "CR__BODY"] = folder(path) word[2]
            }
            if (!own && match(text, /^# *define +[A-Za-z_0-9]+/)) {
                split(substr(text, RSTART, RLENGTH), word, / +/)
                if (word[2] !~ /_H$/) # guards last
                    defines = defines "#undef " word[2] "\n"
            }
            if (text ~ /^# *include *<chainrule\.h>/ && !library)
                continue
            else if (text ~ /^# *include *<chainrule\.h>/)
                text = "#include \"chainrule.h\""
            if (text ~ /^# *include *"/ && text !~ /"chainrule\.h"/) {
                split(text, word, /"/)
                emit(find(word[2], path), conditional || depth > own, 0)
            } else if (text ~ /^# *include *CR__/) {
                split(text, word, / +/)
                emit(template[word[2]], conditional || depth > own, 0)
            } else
                print text
        }
        close(path)
        if (source) {
            printf "%s", defines
            defines = ""
        }
    }
    BEGIN {
        library = ARGV[1] ~ /\.c$/
        print "/* chainrule in one file, made by tools/amalgamate.sh. */"
        if (library)
            print "#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif"
        for (i = 1; i < ARGC && !failed; i++)
            emit(ARGV[i], 0, library)
        exit failed
    }' "$@"
}

amalgamate include/chainrule.h >"$out/chainrule.h"
# shellcheck disable=SC2046 # folders in the order of their layers
amalgamate $(for folder in base kernel graph ops exec grad nn optim; do echo src/$folder/*.c; done) \
    >"$out/chainrule.c"
