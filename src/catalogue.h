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

#include "reading.h"

/*
 * Make the reading's account a valid one and its terms a number of credits,
 * or leave them unknown with a reason.
 */
extern void catalogue_price(EventReading *reading);

/*
 * Price an invoice's lines by what is known of its subscription, where that goes
 * before what they are priced by.
 */
extern void catalogue_price_lines(Facts *invoice, const Facts *subscription);

#endif							/* CATALOGUE_H */
