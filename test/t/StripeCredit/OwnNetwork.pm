# A test that uses this first runs, with all that it starts, in a network of its own,
# in which names are asked of a resolver on 127.0.0.1 that never answers.  Where the
# system doesn't allow that, the test runs where it is, and there is no such resolver.

package StripeCredit::OwnNetwork;

use strict;
use warnings;

use Cwd ();
use File::Temp ();
use IO::Socket::INET;
use Socket ();

use constant {
	MARK => 'STRIPE_CREDIT_OWN_NETWORK',
	SIOCSIFFLAGS => 0x8914,
	IFF_UP_RUNNING => 0x41
};

my @UNSHARE = qw(unshare --user --map-current-user --keep-caps --mount --net --);

my $resolver;

# The rest is done by the same program again, inside.
sub import
{
	return inside() if $ENV{ (MARK) };
	return if !-e '/proc/self/ns/net' || system("@UNSHARE true >/dev/null 2>&1") != 0;
	local $ENV{ (MARK) } = 1;
	exec @UNSHARE, $^X, (map { "-I$_" } grep { !ref } @INC), Cwd::abs_path($0), @ARGV;
	die "exec: $!";
}

sub inside
{
	my $file = File::Temp->new;

	print {$file} "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n";
	close $file;
	chmod 0644, "$file";
	socket my $socket, Socket::AF_INET(), Socket::SOCK_DGRAM(), 0 or die "socket: $!";
	my $up = pack 'Z16 s x22', 'lo', IFF_UP_RUNNING;
	ioctl $socket, SIOCSIFFLAGS, $up or die "lo: $!";
	system('mount', '--bind', "$file", '/etc/resolv.conf') == 0 or return;
	$resolver = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 53, Proto => 'udp');
	return;
}

# The socket that names are asked of, if there is one
sub resolver { return $resolver }

1;
