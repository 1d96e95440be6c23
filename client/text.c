/* Text in fixed buffers: stdio would triple the size of the program. */
#include "text.h"
#include <errno.h>
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
	if (whole %= 1000)
		text_char(text, '.');
	for (; whole; whole = whole * 10 % 1000)
		text_number(text, whole / 100);
}

/* The errors that occur here: strerror's table would be a twentieth of the program. */
void text_error(struct text *text, int error)
{
	static const struct {
		int error;
		const char *message;
	} known[] = {
		{EPERM, "Operation not permitted"},
		{ENOENT, "No such file or directory"},
		{ESRCH, "No such process"},
		{EACCES, "Permission denied"},
		{ENOTDIR, "Not a directory"},
		{EMFILE, "No file descriptors available"},
		{ENOSYS, "Function not implemented"},
		{ENOBUFS, "No buffer space available"},
		{EPROTO, "Protocol error"},
		{EPIPE, "Broken pipe"},
		{ECONNRESET, "Connection reset by peer"},
		{ECONNREFUSED, "Connection refused"},
		{ETIMEDOUT, "Operation timed out"},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].error == error) {
			text_add(text, known[i].message);
			return;
		}
	text_add(text, "error ");
	text_number(text, (uint64_t)error);
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

bool span_word(struct span *text, struct span *word)
{
	const char *at = text->at, *end = at + text->size;
	while (at < end && (unsigned char)*at <= ' ')
		at++;
	word->at = at;
	while (at < end && (unsigned char)*at > ' ')
		at++;
	word->size = (size_t)(at - word->at);
	*text = (struct span){at, (size_t)(end - at)};
	return word->size != 0;
}

bool span_number(struct span text, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = (unsigned)(text.at[i] - '0');
		if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	return text.size != 0;
}

bool span_starts(struct span span, const char *prefix)
{
	size_t size = strlen(prefix);
	return span.size >= size && memcmp(span.at, prefix, size) == 0;
}

bool span_is(struct span span, const char *string)
{
	return span.size == strlen(string) && span_starts(span, string);
}

bool span_has(struct span span, const char *part)
{
	for (; span.size; span.at++, span.size--)
		if (span_starts(span, part))
			return true;
	return false;
}
