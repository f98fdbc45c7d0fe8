#!/usr/bin/env bash
# Certificates for tests, PEM files in a folder: NAME.crt and NAME.key of
#   ca, other       two authorities                    server   for localhost, ::1 and 127.0.0.1, by ca
#   wrong           for elsewhere.example, by ca       expired  as server, but of the year 2020
#   client          a client's, by ca                  stranger a client's, by other
# usage: tls_certs.sh FOLDER
set -euo pipefail
cd "$1"
umask 077
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
authority() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -subj "/CN=test authority $1" -days 30 -out "$1.crt" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
}
signed() { # signed NAME AUTHORITY ALT-NAMES [COMMAND…]: COMMAND runs openssl
    local name=$1 by=$2 alt=$3; shift 3
    key "$name"
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr" 2>/dev/null
    printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$alt" > "$name.ext"
    "$@" openssl x509 -req -in "$name.csr" -CA "$by.crt" -CAkey "$by.key" -set_serial "0x$(openssl rand -hex 8)" -days 20 \
        -extfile "$name.ext" -out "$name.crt" 2>/dev/null
    rm -f "$name.csr" "$name.ext"
}
here=DNS:localhost,IP:127.0.0.1,IP:::1
authority ca
authority other
signed server ca $here
signed wrong ca DNS:elsewhere.example
signed expired ca $here faketime '2020-01-01 00:00:00'
signed client ca DNS:client
signed stranger other DNS:stranger
