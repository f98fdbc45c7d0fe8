# shellcheck shell=bash
# Images without a registry, for up.sh: Debian from debootstrap, Postgres and Redis from Debian's packages.

# mirror LABEL: this machine's own mirror (Debian, Debian-Security); apt knows it, whatever the form of its sources.
mirror() {
    # shellcheck disable=SC2016  # apt fills it in
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Label: $1" 2>/dev/null |
        { grep -E '^(https?|file|copy):' || true; } | sort -u | sed -n '1s:/*$::p'
}
mirrors() {
    local seen sum
    sum=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } | cksum)
    MAIN='' SEC=''
    # apt takes seconds to answer: ask once, and again when its sources change
    if [ "$(sed -n 1p "$LAB_DIR/mirrors" 2>/dev/null)" = "$sum" ]; then
        { read -r seen; read -r MAIN; read -r SEC || true; } < "$LAB_DIR/mirrors"
        [ "$seen" = "$sum" ] && [ -n "$MAIN" ] && return 0
    fi
    [ -n "$(mirror Debian)" ] || apt-get update -q >"$LAB_DIR/log/apt-update.log" 2>&1
    MAIN=$(mirror Debian) SEC=$(mirror Debian-Security)
    [ -n "$MAIN" ] || lab_die "no Debian mirror among this machine's apt sources"
    printf '%s\n%s\n%s\n' "$sum" "$MAIN" "$SEC" > "$LAB_DIR/mirrors"
}

# apt settings of this machine that any apt on it needs (proxy, date checks); none that holds a password
host_apt_conf() {
    apt-config dump |
        sed -nE '/:\/\/[^\/"]*@/d; /^Acquire::(http|https|ftp|Check-|Retries|ForceIPv|Max-|AllowInsecure|AllowWeak)[^ ]* ".+";$/p'
}
host_cas() { find /usr/local/share/ca-certificates -name '*.crt' -type f 2>/dev/null | sort; }

# what a base image depends on, as the name of its cached copy
recipe() {
    { echo "$1 $MAIN $SEC"; host_apt_conf; host_cas | xargs -r cat; declare -f bootstrap apt_inside; } | sha256sum | cut -c1-16
}

# apt_inside SUITE ROOT: sources, settings and authorities of the new system's apt
apt_inside() {
    local suite=$1 r=$2 ring=/usr/share/keyrings/debian-archive-keyring.gpg f
    rm -f "$r/etc/apt/sources.list"
    { printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates\nComponents: main\nSigned-By: %s\n' "$MAIN" "$suite" "$suite" "$ring"
      [ -z "$SEC" ] || printf '\nTypes: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s\n' "$SEC" "$suite" "$ring"
    } > "$r/etc/apt/sources.list.d/debian.sources"
    host_apt_conf > "$r/etc/apt/apt.conf.d/99host"
    printf '%s\n' 'Acquire::Languages "none";' 'APT::Install-Suggests "false";' 'APT::Install-Recommends "false";' \
        > "$r/etc/apt/apt.conf.d/50small"
    printf '%s\n' force-unsafe-io 'path-exclude /usr/share/doc/*' 'path-include /usr/share/doc/*/copyright' \
        'path-exclude /usr/share/man/*' 'path-exclude /usr/share/locale/*' > "$r/etc/dpkg/dpkg.cfg.d/small"
    printf '#!/bin/sh\nexit 101\n' > "$r/usr/sbin/policy-rc.d"       # packages start no services in an image
    chmod 755 "$r/usr/sbin/policy-rc.d"
    mkdir -p "$r/usr/local/share/ca-certificates"
    while read -r f; do cp "$f" "$r/usr/local/share/ca-certificates/"; done < <(host_cas)
    case "$MAIN $SEC" in *https:*)    # apt needs them before ca-certificates is there
        install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$r/etc/apt/host-cas.crt"
        echo 'Acquire::https::CaInfo "/etc/apt/host-cas.crt";' >> "$r/etc/apt/apt.conf.d/99host" ;;
    esac
}
bootstrap() { # bootstrap SUITE ROOT
    local suite=$1 r=$2 proxy
    proxy=$(apt-config dump | sed -n 's/^Acquire::http::Proxy "\(.*\)";/\1/p')
    if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then export http_proxy=$proxy; fi
    nice -n "$LAB_NICE" debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$suite" "$r" "$MAIN"
    apt_inside "$suite" "$r"
    cp /etc/resolv.conf "$r/etc/resolv.conf"
    chroot "$r" sh -ec 'apt-get update -q; nice apt-get -y -q dist-upgrade; apt-get clean' </dev/null
    rm -rf "$r"/var/lib/apt/lists/* "$r"/var/cache/apt/* "$r"/var/log/*.log "$r"/etc/{resolv.conf,hostname} \
        "$r"/usr/share/{man,locale}/* "$r"/tmp/*
    : > "$r/etc/machine-id"
}
# Never rm -rf through a mount that debootstrap left behind.
drop_root() {
    local m
    while read -r m; do umount -l "$m"; done < <(awk -v d="$1/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r)
    rm -rf --one-file-system "$1"
}
base_image() { # base_image SUITE: keep it, or import it from the cache, or make it
    local suite=$1 id tarball work label
    id=$(recipe "$suite")
    tarball=$LAB_CACHE/debian-$suite-$id.tar
    label=$(docker image inspect -f '{{index .Config.Labels "footnote.recipe"}}' "debian:$suite-slim" 2>/dev/null || true)
    [ "$label" != "$id" ] || return 0
    if [ ! -s "$tarball" ]; then
        lab_say "making debian:$suite-slim (about a minute, once)"
        work=$(mktemp -d "$LAB_CACHE/work.XXXXXX")
        chmod 755 "$work"
        if ! (set -e; bootstrap "$suite" "$work/root") >"$LAB_DIR/log/debootstrap.log" 2>&1 9>&-; then
            tail -20 "$LAB_DIR/log/debootstrap.log" >&2
            drop_root "$work"
            lab_die "debootstrap failed"
        fi
        tar -C "$work/root" --numeric-owner --one-file-system --sort=name -cf "$tarball.part" .
        mv "$tarball.part" "$tarball"
        drop_root "$work"
    fi
    docker import --change 'CMD ["bash"]' --change "LABEL footnote.recipe=$id" \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$tarball" "debian:$suite-slim" >/dev/null
}

# service_image FOLDER TAG: build images/FOLDER; docker's own cache makes the second time quick. Over the host's network:
# where the kernel has no NAT a build would not reach the mirror through docker's bridge.
service_image() {
    local log=$LAB_DIR/log/build-$1.log
    docker image inspect "$2" >/dev/null 2>&1 || lab_say "building $2 from Debian's packages"
    docker build --network host -t "$2" "${lab_images:?}/$1" >"$log" 2>&1 || { tail -20 "$log" >&2; lab_die "building $2 failed"; }
}
