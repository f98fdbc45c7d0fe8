# Reads store/sql/*.sql and writes the table of statements that the store is compiled with: SQL(NAME, parameters, SCOPE, "text").
#
#   awk -f store/sql/generate.awk store/sql/*.sql                 the table
#   awk -v to=psql -f store/sql/generate.awk store/sql/*.sql      the same as PREPARE name AS …, for psql
#   awk -v to=psql -v only=store/sql/turn.sql -f …                of one file only; the others give their pieces
#
# A file is plain SQL. A statement stands under its name and a comment and ends with a semicolon at the end of a line:
#
#   -- name: KEY_GET (shared)
#   -- A key by its hash.
#   --   $1 hash
#   SELECT :key_cols FROM api_keys WHERE hash = $1::bytea;
#
# tenant: it touches rows of one tenant only, and compares the tenant on every table. shared: it asks across tenants.
# Under "-- piece: key_cols" stands what several statements share, in any of the files; ":key_cols" puts it in. The comment of a
# statement, or of a piece of it, says what each of its parameters is. White space and comments do not reach the server.

function fail(why) {
    printf "%s:%d: %s\n", FILENAME, FNR, why >"/dev/stderr"
    wrong = 1
    exit 1
}

# The first token of s: a literal, white space, a comment, a cast, a piece's name, a parameter, or anything else.
function token(s) {
    if (match(s, /^'([^']|'')*'/) || match(s, /^[ \t]+/) || match(s, /^--.*/) || match(s, /^::/) || match(s, /^:[a-z][a-z0-9_]*/) ||
        match(s, /^\$[0-9]+/) || match(s, /^[^-' \t:$(),]+/))
        return substr(s, 1, RLENGTH)
    if (substr(s, 1, 1) == "'" || substr(s, 1, 2) == "$$")
        fail("a literal ends on its line, between single quotes")
    return substr(s, 1, 1)
}

# One line without its comment, one space for many; none inside a literal is touched.
function squeeze(s,    out, t) {
    while (s != "") {
        t = token(s)
        s = substr(s, length(t) + 1)
        if (substr(t, 1, 2) != "--")
            out = out (t ~ /^[ \t]+$/ ? " " : t)
    }
    sub(/^ /, "", out)
    sub(/ $/, "", out)
    return out
}

# The text with its pieces put in, and no space inside parentheses; what it explains of itself is added to said.
function whole(s, depth,    out, t, p) {
    if (depth > 8)
        fail("pieces that stand in each other")
    while (s != "") {
        t = token(s)
        s = substr(s, length(t) + 1)
        if (t ~ /^:[a-z]/) {
            p = substr(t, 2)
            if (!(p in piece))
                fail("there is no piece " p)
            used[p] = 1
            said = said " " comment_of_piece[p]
            t = whole(piece[p], depth + 1)
        } else if (t ~ /^\$/)
            takes[substr(t, 2) + 0] = 1
        if (t == " " && out ~ /\($/)
            continue
        if ((t == ")" || t == ",") && out ~ / $/)
            out = substr(out, 1, length(out) - 1)
        out = out t
    }
    return out
}

function in_c(s,    out, c) {
    while (match(s, /[\\"]/)) {
        c = substr(s, RSTART, 1)
        out = out substr(s, 1, RSTART - 1) "\\" c
        s = substr(s, RSTART + 1)
    }
    return "\"" out s "\""
}

function finish() {
    if (name != "" && !done)
        fail(name " does not end with a semicolon")
}

FNR == 1 { finish(); name = "" }

/^-- *(name|piece):/ {
    finish()
    if ($0 !~ /^-- name: [A-Z][A-Z0-9_]* \((tenant|shared)\)$/ && $0 !~ /^-- piece: [a-z][a-z0-9_]*$/)
        fail("expected \"-- name: NAME (tenant)\", \"(shared)\" or \"-- piece: name\"")
    kind = $2
    name = $3
    scope = $4 == "(tenant)" ? "TENANT" : "SHARED"
    if ((kind == "name:" && name in text) || (kind == "piece:" && name in piece))
        fail(name " stands here a second time")
    comment = body = ""
    done = 0
    next
}

/^--/ && body == "" { comment = comment " " $0 " "; next }

{
    line = squeeze($0)
    if (line == "")
        next
    if (name == "" || done)
        fail("this belongs to no statement")
    body = body (body == "" ? "" : " ") line
    if (line !~ /;$/)
        next
    done = 1
    sub(/ ?;$/, "", body)
    if (comment !~ /[A-Za-z]/)
        fail(name " has no comment")
    if (kind == "piece:") {
        piece[name] = body
        comment_of_piece[name] = comment
    } else {
        order[++n] = name
        text[name] = body
        scope_of[name] = scope
        comment_of[name] = comment
        where[name] = FILENAME
    }
}

END {
    if (wrong)
        exit 1
    if (n == 0 || (name != "" && !done)) {
        print (n ? FILENAME ": " name " does not end with a semicolon" : "no statements") >"/dev/stderr"
        exit 1
    }
    print (to == "psql" ? "--" : "/*") " Made by store/sql/generate.awk from the .sql files beside it." (to == "psql" ? "\nDEALLOCATE ALL;" : " */")
    for (i = 1; i <= n; i++) {
        name = order[i]
        said = comment_of[name]
        split("", takes)
        FILENAME = where[name]
        sql = whole(text[name], 0)
        params = 0
        for (k in takes)
            params++
        for (k = 1; k <= params; k++) {
            why = !(k in takes) ? "does not use" : said !~ ("[$]" k "[^0-9]") ? "does not explain" : ""
            if (why != "") {
                printf "%s: %s %s its parameter $%d\n", where[name], name, why, k >"/dev/stderr"
                exit 1
            }
        }
        if (to != "psql")
            printf "SQL(%s, %d, %s, %s)\n", name, params, scope_of[name], in_c(sql)
        else if (only == "" || only == where[name])
            printf "PREPARE %s AS %s;\n", name, sql
    }
    for (p in piece)
        if (!(p in used)) {
            print "piece " p " is not used" >"/dev/stderr"
            exit 1
        }
}
