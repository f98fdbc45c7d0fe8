# The widget's one script, of its parts in the order of the command line: comments, indentation and blanks between signs go, the style
# becomes a string, all of it one function. Lines that hold a regular expression, a template or an escape keep their blanks.
function squeezed(s) {
    while (match(s, / [=!<>&|?:+*,;{}()-]|[=!<>&|?:+*,;{}()-] /))
        s = substr(s, 1, RSTART - 1) (substr(s, RSTART, 1) == " " ? substr(s, RSTART + 1, 1) : substr(s, RSTART, 1)) substr(s, RSTART + 2)
    gsub(/;}/, "}", s)
    return s
}
function line_of(s,    n, part, i, out) {
    sub(/^ +/, "", s)
    if (s ~ /^\/\//)
        return ""
    if (match(s, /[;{},] \/\/ /))
        s = substr(s, 1, RSTART)
    gsub(/ ?\/\* [^*]* \*\/ ?/, "", s)
    n = split(s, part, "\"")
    for (i = 1; i <= n; i++)
        if (part[i] ~ /[\\]/ || (i % 2 && part[i] ~ /[`'\/]/))
            return s
    for (i = 1; i <= n; i++)
        out = out (i > 1 ? "\"" : "") (i % 2 ? squeezed(part[i]) : part[i])
    return out
}
# A semicolon that a closing brace follows, also on the next line, goes.
function put(s) {
    if (semicolon && s !~ /^}/)
        printf ";"
    semicolon = s ~ /;$/
    printf "%s", semicolon ? substr(s, 1, length(s) - 1) : s
}
BEGIN { print "\"use strict\";(()=>{" }
FNR == 1 { css = FILENAME ~ /\.css$/; if (css && !styled) printf "const STYLE=`" }
css {
    styled = 1
    sub(/^ +/, "")
    while (match($0, / [{};]|[{};:,] /))
        $0 = substr($0, 1, RSTART - 1) (substr($0, RSTART, 1) == " " ? substr($0, RSTART + 1, 1) : substr($0, RSTART, 1)) substr($0, RSTART + 2)
    gsub(/;}/, "}")
    put($0)
    next
}
{
    if (FNR == 1 && styled) { put("`;\n"); styled = 0 }
    s = line_of($0)
    if (s != "")
        put(s (s ~ /[;{]$/ ? "" : "\n"))
}
END { put("})();\n") }
