# The console's one page: a line "@file NAME" becomes the file, as it is.
function folder(name) { sub(/[^\/]*$/, "", name); return name }
/^@file / {
    path = folder(FILENAME) $2
    if ((getline line < path) <= 0) { print path " cannot be read" >"/dev/stderr"; failed = 1; exit }
    do print line; while ((getline line < path) > 0)
    close(path)
    next
}
{ print }
END { exit failed }
