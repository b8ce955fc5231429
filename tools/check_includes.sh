#!/bin/sh
# Checks the direction of includes: a folder of src/ includes only what stands to its left.
#
#     base <- kernel <- graph <- { ops, exec } <- grad <- { nn, optim, data, io, flow } <- dist
#
# nn, optim, data, io, flow and dist use the library like any user: the public header, plus
# what knows no tensors in base: memory, lookup, fp and dtype. cli, examples and bench use the public
# header only.
set -eu
cd "$(dirname "$0")/.."

grep -Hn '^ *# *include *"' src/*/*.[ch] $(ls cli/*.[ch] examples/*.[ch] bench/*.[ch] 2>/dev/null) |
awk -F'[:"]' '
BEGIN {
    split("base kernel graph ops exec grad nn optim data io flow dist", names, " ")
    split("0    1      2     3   3    4    5  5     5    5  5    6", ranks, " ")
    for (i in names)
        rank[names[i]] = ranks[i]
}
function complain(why) {
    printf "%s:%s: includes \"%s\": %s\n", file, line, what, why
    failures++
}
{
    file = $1; line = $2; what = $4
    checked++
    parts = split(file, path, "/")
    folder = parts == 3 ? path[2] : path[1]
    if (what == "chainrule.h" || what !~ "/")
        next
    if (parts != 3)
        complain("only src/ may look into src/")
    else if (!(folder in rank))
        complain("src/" folder " is not in the order of folders: tools/check_includes.sh")
    else if (split(what, there, "/") != 3 || there[1] != ".." || !(there[2] in rank))
        complain("write \"../folder/file.h\", with a folder of src/")
    else if (rank[folder] >= 5 && what !~ "^../base/(memory|lookup|fp|dtype)\\.h$")
        complain(folder " uses the public header, and memory, lookup, fp and dtype of base")
    else if (there[2] != folder && rank[there[2]] >= rank[folder])
        complain(there[2] " does not stand to the left of " folder)
}
END {
    printf "include directions: %d checked, %d wrong\n", checked, failures
    exit failures > 0 || checked == 0
}'
