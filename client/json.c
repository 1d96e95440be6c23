/* Reading one line of JSON in place. Nothing is copied, and no input makes it read past its end. */
#include "json.h"
#include <string.h>

enum { DEPTH = 16 };

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

static const char *skip_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* The byte that an escape stands for ('?' beyond ASCII); *p moves behind it. -1: malformed. */
static int escape(const char **p, const char *end)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	if (*p == end)
		return -1;
	char c = *(*p)++;
	if (c != 'u') {
		const char *name = c ? strchr(names, c) : NULL;
		return name ? bytes[name - names] : -1;
	}
	int code = 0;
	for (int i = 0; i < 4; i++) {
		int digit = *p < end ? hex_digit(**p) : -1;
		if (digit < 0)
			return -1;
		code = code * 16 + digit;
		++*p;
	}
	return code < 0x80 ? code : '?';
}

static const char *skip_string(const char *p, const char *end)
{
	if (p == end || *p != '"')
		return NULL;
	for (p++; p < end && *p != '"';) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p++ == '\\' && escape(&p, end) < 0)
			return NULL;
	}
	return p < end ? p + 1 : NULL;
}

static const char *skip_number(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	const char *whole = p;
	p = skip_digits(p, end);
	if (p == whole || (*whole == '0' && p > whole + 1))
		return NULL;
	if (p < end && *p == '.') {
		const char *fraction = ++p;
		p = skip_digits(p, end);
		if (p == fraction)
			return NULL;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		const char *exponent = p;
		p = skip_digits(p, end);
		if (p == exponent)
			return NULL;
	}
	return p;
}

static const char *skip_value(const char *p, const char *end, int depth);

/* Steps over "key": value, or value alone in an array; p stands on its first byte. */
static const char *skip_member(const char *p, const char *end, int depth, bool keyed,
			       struct span *key, struct span *value)
{
	*key = (struct span){p, 0};
	if (keyed) {
		const char *behind = skip_string(p, end);
		if (!behind)
			return NULL;
		key->size = (size_t)(behind - p);
		p = skip_space(behind, end);
		if (p == end || *p++ != ':')
			return NULL;
		p = skip_space(p, end);
	}
	const char *behind = skip_value(p, end, depth);
	if (!behind)
		return NULL;
	*value = (struct span){p, (size_t)(behind - p)};
	return skip_space(behind, end);
}

static const char *skip_container(const char *p, const char *end, int depth)
{
	bool keyed = *p == '{';
	char close = keyed ? '}' : ']';
	p = skip_space(p + 1, end);
	if (p < end && *p == close)
		return p + 1;
	struct span key, value;
	while ((p = skip_member(p, end, depth, keyed, &key, &value)) && p < end) {
		if (*p == close)
			return p + 1;
		if (*p != ',')
			return NULL;
		p = skip_space(p + 1, end);
	}
	return NULL;
}

static const char *skip_value(const char *p, const char *end, int depth)
{
	if (p == end || depth == 0)
		return NULL;
	if (*p == '{' || *p == '[')
		return skip_container(p, end, depth - 1);
	if (*p == '"')
		return skip_string(p, end);
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (span_starts((struct span){p, (size_t)(end - p)}, words[i]))
			return p + strlen(words[i]);
	return skip_number(p, end);
}

bool json_is_object(struct span text)
{
	const char *end = text.at + text.size, *p = skip_space(text.at, end);
	if (p == end || *p != '{')
		return false;
	p = skip_value(p, end, DEPTH);
	return p && skip_space(p, end) == end;
}

bool json_next(struct span container, size_t *cursor, struct span *key, struct span *value)
{
	const char *end = container.at + container.size, *p = container.at + *cursor;
	if (*cursor == 0)
		p = skip_space(p, end);
	if (p == end)
		return false;
	bool keyed = *skip_space(container.at, end) == '{';
	if (*cursor == 0 ? *p != '{' && *p != '[' : *p != ',')
		return false;
	p = skip_space(p + 1, end);
	p = skip_member(p, end, DEPTH, keyed, key, value);
	if (!p)
		return false;
	*cursor = (size_t)(p - container.at);
	return true;
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

/* The number times ten to the given power, cut to a whole one, saturating. */
static bool scaled(struct span value, int power, uint64_t *result)
{
	const char *end = value.at + value.size, *p = value.at;
	if (p == end || *p < '0' || *p > '9' || skip_number(p, end) != end)
		return false;
	const char *exponent = memchr(p, 'e', value.size);
	if (!exponent)
		exponent = memchr(p, 'E', value.size);
	if (exponent) {
		bool negative = exponent[1] == '-';
		int size = 0;
		for (const char *q = exponent + 1 + (negative || exponent[1] == '+'); q < end; q++)
			size = size < 10000 ? size * 10 + (*q - '0') : size;
		power += negative ? -size : size;
		end = exponent;
	}
	/* The digits before the point are worth one power more each; those cut off are never read.
	 */
	const char *point = memchr(p, '.', (size_t)(end - p));
	int64_t kept = (point ? point : end) - p + power;
	uint64_t number = 0;
	for (; kept > 0 && (p < end || number > 0); p++) {
		if (p < end && *p == '.')
			continue;
		unsigned digit = p < end ? (unsigned)(*p - '0') : 0;
		number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
		if (number == UINT64_MAX)
			break;
		kept--;
	}
	*result = number;
	return true;
}

bool json_count(struct span value, uint64_t *count)
{
	return scaled(value, 0, count);
}

bool json_millis(struct span value, millis *time)
{
	uint64_t number;
	if (!scaled(value, 3, &number))
		return false;
	*time = number > INT64_MAX ? INT64_MAX : (millis)number;
	return true;
}

bool json_string(struct span value, struct text *text)
{
	const char *end = value.at + value.size, *p = value.at;
	if (skip_string(p, end) != end)
		return false;
	for (p++; p < end - 1;) {
		int c = (unsigned char)*p++;
		text_foreign_char(text, (unsigned char)(c == '\\' ? escape(&p, end) : c));
	}
	return true;
}

bool json_equals(struct span value, const char *expected)
{
	char buffer[64];
	struct text text = TEXT_IN(buffer);
	return json_string(value, &text) && span_is((struct span){buffer, text.used}, expected);
}
