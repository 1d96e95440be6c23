#ifndef DRAINMON_NODE_H
#define DRAINMON_NODE_H

#include "ignored.h"

/* The addresses of this pod's node, from which kubelet's probes come. */
struct node {
	struct ignored addresses; /* its peers alone */
	bool gateways;            /* the pod's default gateways are node addresses, too */
};

/* Adds the items of a list with commas, which must stay in memory: addresses, or `gateway`. Returns
 * NULL, or an error. */
const char *node_add(struct node *node, const char *list);

/* Adds the gateways in the routes of this netns, if `gateways` is set. */
void node_find_gateways(struct node *node);

/* The gateway of a default route in a line of /proc/net/route or ipv6_route; false: none. */
bool node_gateway(struct span line, struct address *gateway);
bool node_gateway6(struct span line, struct address *gateway);

#endif
