/* The real transport: TCP through NNG's byte streams. The only file of Kedge that knows NNG. */
#ifndef KEDGE_NNG_NNG_TRANSPORT_H
#define KEDGE_NNG_NNG_TRANSPORT_H

#include "common/nng/transport.h"

/* At most `max_connections` at once; more are closed as they come. Starts NNG's threads on the first call of a program. */
int nng_transport_new(struct transport **out, size_t max_connections, struct error *err) _must_check_;

#endif
