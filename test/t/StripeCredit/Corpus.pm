# What the tests that read the collected events share: where these are, their
# bytes, and signatures.

package StripeCredit::Corpus;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use Exporter qw(import);

our @EXPORT = qw(CORPUS bytea corpus_bodies read_bytes signature);

# The directory that holds webhook_vectors.json and events/*/*.json; undefined
# if there is none to test with.
use constant CORPUS => $ENV{STRIPE_CREDIT_CORPUS} || undef;

sub read_bytes
{
	my ($file) = @_;

	open(my $handle, '<:raw', $file) or die "could not open $file: $!";
	local $/;
	my $bytes = <$handle>;
	close($handle) or die "could not read $file: $!";
	return $bytes;
}

# Every body: its name, for messages, and its bytes.
sub corpus_bodies
{
	return
	  map { { name => s{^.*/events/}{}r, bytes => read_bytes($_) } }
	  grep { !m{/index\.json$} } sort glob(CORPUS . '/events/*/*.json');
}

sub signature
{
	my ($bytes, $secret) = @_;
	my $now = time;

	return "t=$now,v1=" . hmac_sha256_hex("$now.$bytes", $secret);
}

# A literal of SQL that holds just these bytes, whatever they are.
sub bytea
{
	my ($bytes) = @_;

	return q{'\x} . unpack('H*', $bytes) . q{'::bytea};
}

1;
