#ifndef DRAINMON_NODE_H
#define DRAINMON_NODE_H

#include "ignored.h"

/* The addresses that the node of this pod has, from which kubelet's probes come. */
struct node {
	struct ignored addresses; /* its peers alone */
	bool gateways;            /* the pod's default gateways are such, too */
};

/* Adds what is between the commas of a list, which must stay: addresses, or `gateway`; NULL, or
 * what is wrong with it. */
const char *node_add(struct node *node, const char *list);

/* Looks them up in the routes of this netns, if they are wanted. */
void node_find_gateways(struct node *node);

/* The gateway of a default route in a line of /proc/net/route or ipv6_route; false: none. */
bool node_gateway(struct span line, struct address *gateway);
bool node_gateway6(struct span line, struct address *gateway);

#endif
