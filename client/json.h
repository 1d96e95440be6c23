#ifndef DRAINMON_JSON_H
#define DRAINMON_JSON_H

#include "text.h"

/* Whether the text is one JSON object, complete: a line that was cut short is none. White space may
 * follow. */
bool json_is_object(struct span text);

/* The value of a key of the object itself, not of what is nested in it; the last if repeated. */
bool json_find(struct span object, const char *key, struct span *value);

/* Walks the values of an object or array from *cursor == 0; for an array the key stays empty. */
bool json_next(struct span container, size_t *cursor, struct span *key, struct span *value);

/* The thousandths of a number that is not negative and has no exponent (12.3456 -> 12345). */
bool json_millis(struct span value, millis *time);

/* Appends what a string says, made safe to print. False, and nothing appended: not a string. */
bool json_string(struct span value, struct text *text);
bool json_equals(struct span value, const char *expected);

#endif
