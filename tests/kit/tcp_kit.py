"""What the kernel says of TCP connections (/proc/net/tcp): for how long one may be silent before the other end is asked whether it is there."""
import os

ESTABLISHED, KEEPALIVE, TICKS = "01", "02", 100


def connections():
    """(local port, remote port, inode, seconds until the next keepalive or None) of each that stands."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    out = []
    for row in rows:
        timer, _, when = row[5].partition(":")
        if row[3] == ESTABLISHED:
            out.append((int(row[1].split(":")[1], 16), int(row[2].split(":")[1], 16), row[9], int(when, 16) / TICKS if timer == KEEPALIVE else None))
    return out


def inodes_of(pid):
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:  # closed meanwhile
            continue
        if link.startswith("socket:["):
            found.add(link[8:-1])
    return found


def silence(pid, port):
    """[(seconds at this end, seconds at the other)] of that process's connections to that port."""
    standing, own = connections(), inodes_of(pid)
    far = {remote: s for local, remote, _, s in standing if local == port}
    return [(s, far.get(local)) for local, remote, inode, s in standing if remote == port and inode in own]
