/*-------------------------------------------------------------------------
 *
 * catalogue.h
 *	  What is it worth?  Completes what facts.c read of an event with what the
 *	  owner sells: packs, payment links and rates.
 *
 * Takes no lock.  The caller is between SPI_connect() and SPI_finish().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include "facts.h"

/*
 * Make the reading's account a valid one and its terms a number of credits,
 * or leave them unknown with a reason.
 */
extern void catalogue_price(EventReading *reading);

#endif							/* CATALOGUE_H */
