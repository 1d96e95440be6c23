#include "duration.h"
#include <string.h>

static const int64_t longest = INT32_MAX;

static bool unit_of(const char *name, int64_t *millis_each)
{
	static const struct {
		const char *name;
		int64_t millis_each;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"", 1000}};
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(units[i].name, name) == 0) {
			*millis_each = units[i].millis_each;
			return true;
		}
	return false;
}

bool duration_read(const char *text, millis *time)
{
	/* The digits without their point, and what the last of them is worth. */
	int64_t digits = 0, worth = 1, each;
	const char *p = text;
	for (; *p >= '0' && *p <= '9'; p++) {
		digits = digits * 10 + (*p - '0');
		if (digits > longest)
			return false;
	}
	if (p == text)
		return false;
	if (*p == '.') {
		const char *fraction = ++p;
		for (; *p >= '0' && *p <= '9'; p++)
			if (worth < 100000) {
				digits = digits * 10 + (*p - '0');
				worth *= 10;
			}
		if (p == fraction)
			return false;
	}
	if (!unit_of(p, &each) || digits > longest * worth / each)
		return false;
	*time = digits * each / worth;
	return true;
}
