# Holds the name by which readers of a map lock each other out (native/src/reader_lock.h), as the user it is told to be. Not in
# JavaScript: Node 20 cuts such names at their first byte, which is 0.
use strict;
use warnings;
use Socket;

my ($id, $uid) = @ARGV;
$> = $uid;
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($socket, pack("S a*", AF_UNIX, "\0ebpf/reader-of-map/$id")) or die "bind: $!";
listen($socket, 16) or die "listen: $!";
$| = 1;
print "held\n";
sleep;
