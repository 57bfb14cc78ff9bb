# How many times longer than usual everything may take: test/valgrind says so, since
# servers under valgrind are so much slower.  Nothing else does.

package StripeCredit::Slow;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(SLOW UNDER_VALGRIND);

use constant SLOW => $ENV{STRIPE_CREDIT_SLOW} || 1;
use constant UNDER_VALGRIND => SLOW > 1;

1;
