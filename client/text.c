/* Text in fixed buffers: stdio would triple the size of the program. */
#include "text.h"
#include <string.h>

void text_char(struct text *text, char c)
{
	if (text->used + 1 >= text->size)
		return;
	text->at[text->used++] = c;
	text->at[text->used] = '\0';
}

void text_add(struct text *text, const char *string)
{
	while (*string)
		text_char(text, *string++);
}

void text_number(struct text *text, uint64_t number)
{
	char digits[20];
	size_t count = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count)
		text_char(text, digits[--count]);
}

void text_seconds(struct text *text, millis time)
{
	uint64_t tenths = time > 0 ? (uint64_t)time / 100 : 0;
	text_number(text, tenths / 10);
	text_char(text, '.');
	text_number(text, tenths % 10);
}

void text_millis(struct text *text, millis time)
{
	uint64_t whole = time > 0 ? (uint64_t)time : 0;
	text_number(text, whole / 1000);
	text_char(text, '.');
	text_number(text, whole / 100 % 10);
	text_number(text, whole / 10 % 10);
	text_number(text, whole % 10);
}

void text_foreign_char(struct text *text, unsigned char c)
{
	text_char(text, c >= 0x20 && c < 0x7f ? (char)c : '?');
}

void text_foreign(struct text *text, struct span bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		text_foreign_char(text, (unsigned char)bytes.at[i]);
}

struct span span_of(const char *string)
{
	return (struct span){string, strlen(string)};
}

bool span_starts(struct span span, const char *prefix)
{
	size_t size = strlen(prefix);
	return span.size >= size && memcmp(span.at, prefix, size) == 0;
}

bool span_has(struct span span, const char *part)
{
	for (; span.size; span.at++, span.size--)
		if (span_starts(span, part))
			return true;
	return false;
}
