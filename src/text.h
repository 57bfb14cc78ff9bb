/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Texts, as several rooms need them.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEXT_H
#define TEXT_H

/* What stands behind a prefix, or NULL if the text doesn't begin with it. */
extern const char *after_prefix(const char *text, const char *prefix);

/* For rooms that write octet by octet and know no StringInfo, which the target is. */
extern void append_to_string(void *target, const char *octets, size_t length);

#endif							/* TEXT_H */
