/* Reading one line of JSON in place. Strings and brackets are matched; the characters of
 * numbers and words are not checked, nor is what a nested value has inside until it is read.
 * Nothing is copied, and no input makes it read past its end. */
#include "json.h"
#include <string.h>

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

/* NULL: the string has no end. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : NULL;
}

/* NULL: there is no value, or it has no end. */
static const char *skip_value(const char *p, const char *end)
{
	const char *begin = p;
	for (unsigned depth = 0; p < end;) {
		char c = *p;
		bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
		if (depth == 0 && (closes || c == ',' || skip_space(p, end) > p))
			return p > begin ? p : NULL; /* behind a number or a word */
		p = c == '"' ? skip_string(p, end) : p + 1;
		depth += opens;
		depth -= closes;
		if (!p || (depth == 0 && (closes || c == '"')))
			return p;
	}
	return NULL;
}

bool json_next(struct span container, size_t *cursor, struct span *key, struct span *value)
{
	const char *end = container.at + container.size, *p = container.at + *cursor;
	bool keyed = container.size && *container.at == '{';
	if (p == end || (*cursor ? *p != ',' : !keyed && *p != '['))
		return false;
	p = skip_space(p + 1, end);
	*key = (struct span){p, 0};
	if (keyed) {
		const char *behind = p < end && *p == '"' ? skip_string(p, end) : NULL;
		if (!behind)
			return false;
		key->size = (size_t)(behind - p);
		p = skip_space(behind, end);
		if (p == end || *p != ':')
			return false;
		p = skip_space(p + 1, end);
	}
	const char *behind = skip_value(p, end);
	if (!behind)
		return false;
	*value = (struct span){p, (size_t)(behind - p)};
	*cursor = (size_t)(skip_space(behind, end) - container.at);
	return true;
}

bool json_is_object(struct span text)
{
	const char *end = text.at + text.size;
	struct span key, value;
	size_t cursor = 0;
	if (!text.size || *text.at != '{')
		return false;
	while (json_next(text, &cursor, &key, &value))
		continue;
	const char *p = cursor ? text.at + cursor : skip_space(text.at + 1, end);
	return p < end && *p == '}' && skip_space(p + 1, end) == end;
}

bool json_find(struct span object, const char *key, struct span *value)
{
	struct span name, candidate;
	bool found = false;
	for (size_t cursor = 0; json_next(object, &cursor, &name, &candidate);)
		if (json_equals(name, key)) {
			*value = candidate;
			found = true;
		}
	return found;
}

bool json_millis(struct span value, millis *time)
{
	struct span whole = value;
	const char *end = value.at + value.size, *point = memchr(value.at, '.', value.size);
	uint64_t number;
	if (point)
		whole.size = (size_t)(point - value.at);
	if (!span_number(whole, &number) || number > INT64_MAX / 2000)
		return false;
	for (int i = 0; i < 3; i++) {
		bool digit = point && ++point < end && *point >= '0' && *point <= '9';
		number = number * 10 + (digit ? (unsigned)(*point - '0') : 0);
	}
	*time = (millis)number;
	return true;
}

bool json_string(struct span value, struct text *text)
{
	const char *p = value.at, *last = p + value.size - 1;
	if (value.size < 2 || *p != '"')
		return false;
	for (p++; p < last; p++) {
		char c = *p;
		if (c == '\\' && ++p < last) {
			c = *p == '"' || *p == '\\' || *p == '/' ? *p : '?';
			p += *p == 'u' ? 4 : 0;
		}
		text_foreign_char(text, (unsigned char)c);
	}
	return true;
}

bool json_equals(struct span value, const char *expected)
{
	char buffer[64];
	struct text text = TEXT_IN(buffer);
	return json_string(value, &text) && span_is((struct span){buffer, text.used}, expected);
}
