#ifndef DRAINMON_TEXT_H
#define DRAINMON_TEXT_H

#include "clock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes owned by another object, without a terminating zero. */
struct span {
	const char *at;
	size_t size;
};

/* Text being built in a fixed buffer: always terminated, cut when full. */
struct text {
	char *at;
	size_t size;
	size_t used;
};

#define TEXT_IN(buffer) ((struct text){.at = (buffer), .size = sizeof(buffer), .used = 0})

void text_char(struct text *text, char c);
void text_add(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number);
/* 1234 -> "1.2"; cut, not rounded: a reader must not see a deadline before it has come. */
void text_seconds(struct text *text, millis time);
/* 8000 -> "8", 1500 -> "1.5", 1234 -> "1.234" */
void text_millis(struct text *text, millis time);
/* The text of an errno, as by strerror(3); of rare ones the number. */
void text_error(struct text *text, int error);
/* Adds an untrusted byte; one that could control a terminal or end a line becomes '?'. */
void text_foreign_char(struct text *text, unsigned char c);
void text_foreign(struct text *text, struct span bytes);

struct span span_of(const char *string);
/* The next word and the text behind it; false: only white space was left. */
bool span_word(struct span *text, struct span *word);
/* The number that a text is; false: it is none. */
bool span_number(struct span text, uint64_t *number);
bool span_is(struct span span, const char *string);
bool span_starts(struct span span, const char *prefix);
bool span_has(struct span span, const char *part);

#endif
