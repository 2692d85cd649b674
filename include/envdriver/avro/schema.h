/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema: the Avro schemas of schemas/, their fingerprints, and the way from
 * bytes to values and back (docs/decisions.md D13, D14; docs/schemas.md).
 *
 * Owns the parsed schemas and their avro-c classes. Knows nothing of what a
 * record means, nor of how a schema registry is asked. Every decode is preceded
 * by a pre-scan over the bytes (prescan.h), because avro-c trusts lengths,
 * leaks on failure and recurses without limit. Read-only once
 * schemas_set_lookup and schemas_set_id have been called, so any thread may use
 * it; an avro_value_t belongs to one thread.
 */
#ifndef ENVDRIVER_AVRO_SCHEMA_H
#define ENVDRIVER_AVRO_SCHEMA_H

#include <avro.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct err;
struct schema;			/* one record */
struct schemas;			/* all of them */

enum {
	SCHEMA_FINGERPRINT_LEN = 8,
	SCHEMA_FRAME_LEN = 10,		/* c3 01 and a fingerprint */
	SCHEMA_ID_FRAME_LEN = 5,	/* 00 and a registry's id */
	SCHEMA_TEXT_MAX = 256 << 10,	/* of a schema as JSON */
};

struct schemas *schemas_new(struct err *reterr);
void schemas_free(struct schemas *all);

/* By record name ("ProbeResult"); NULL when there is none. */
const struct schema *schemas_find(const struct schemas *all, const char *name);
/* By CRC-64-AVRO fingerprint in wire order (low byte first). */
const struct schema *schemas_by_fingerprint(const struct schemas *all,
					    const uint8_t fingerprint[SCHEMA_FINGERPRINT_LEN]);

/* One schema from its JSON text (of a registry, of an old release); the caller
 * frees it. Names that avro-c refuses and other readers accept (a dash in a
 * field's name) get an underscore. A union of records at the top is one
 * schema with several branches: schemas_unframe gives the branch that was
 * written. ERR_INVALID when it is neither, ERR_LIMIT when it is
 * recursive, too deep or too large. avro-c leaks about a kilobyte of what it
 * refuses: a caller that may see the same text again must remember that it was
 * refused. */
struct schema *schema_new(struct span text, struct err *reterr);
/* Accepts NULL. Not for schemas that schemas_find returned. */
void schema_free(struct schema *s);

/* A registry's schema may be freed by its cache while it is still read with: a
 * caller that keeps one takes a reference. schema_ref returns its argument;
 * schema_unref accepts NULL. */
const struct schema *schema_ref(const struct schema *s);
void schema_unref(const struct schema *s);

/* "EnvironmentCommand", without a namespace; "union" for one at the top. */
const char *schema_name(const struct schema *s);
/* Branch `i` of a union at the top, borrowed from `s`; NULL past the last one
 * or when `s` is a record. */
struct schema *schema_branch(const struct schema *s, size_t i);
/* As avro-c has it; borrowed. */
avro_schema_t schema_avro(const struct schema *s);
/* The .avsc text as it stands in schemas/. */
struct span schema_text(const struct schema *s);
/* Wire order. */
const uint8_t *schema_fingerprint(const struct schema *s);

/* The unit of a timestamp; SCHEMA_TIME_NONE when a field is not a timestamp. */
enum schema_time {
	SCHEMA_TIME_NONE,
	SCHEMA_TIME_MILLIS,
	SCHEMA_TIME_MICROS,
	SCHEMA_TIME_NANOS,
};

/* What avro-c drops of a field's declaration. */
struct schema_field {
	const char *name;
	const char *doc;	/* NULL when it has none */
	const char *logical;	/* logicalType, also in a union; NULL when it has none */
	enum schema_time time;	/* of that logical type */
	bool optional;		/* has a default or may be null */
};
/* A value of that unit in milliseconds, rounded down. */
int64_t schema_time_ms(enum schema_time unit, int64_t value);
/* Field `index` of the record `record`, here or nested; NULL when there is
 * none. */
const struct schema_field *schema_field(const struct schema *s, const char *record, size_t index);
/* Of two schemas with one fingerprint, in which logical types do not count: values of
 * the one mean the same when they are read as the other. */
bool schema_agrees(const struct schema *s, const struct schema *other);

/* A new value of this record; the caller ends it with avro_value_decref. Its
 * unions have no branch yet: call avro_field_clear first. */
int schema_value_new(const struct schema *s, avro_value_t *ret, struct err *reterr);

/*
 * How a registry's id becomes a schema: 0 (borrowed until the next call),
 * ERR_INVALID with the reason why that id cannot be used, or
 * ERR_UNAVAILABLE when it is not known yet and the same call may find it
 * later.
 */
typedef int schema_lookup_fn(void *arg, uint32_t id, const struct schema **ret,
			     struct err *reterr);
/* Without one a value that is framed for a registry is ERR_INVALID. */
void schemas_set_lookup(struct schemas *all, schema_lookup_fn *fn, void *arg);

/* From now on records are written with a registry's ids: schema_write returns
 * ERR_UNAVAILABLE until schemas_set_id was called for the record. */
void schemas_want_ids(struct schemas *all);
void schemas_set_id(struct schemas *all, const char *name, uint32_t id);

/*
 * Separates the frame from the datum: C3 01 and a known fingerprint (single-object
 * encoding), or 00 and an id that the lookup knows. `ret_datum` is borrowed
 * from `framed`. ERR_INVALID says what is wrong (empty, not framed, unknown
 * fingerprint in hex); ERR_UNAVAILABLE is the lookup's.
 */
int schemas_unframe(const struct schemas *all, struct span framed,
		    const struct schema **ret_writer, struct span *ret_datum, struct err *reterr);

/* Pre-scans, then reads the datum into `value` (made by schema_value_new of
 * the same schema). No bytes may be left over. ERR_INVALID names the path:
 * "operation.Execute.lease: string of 1073741824 bytes, 12 are left". */
int schema_read(const struct schema *s, struct span datum, avro_value_t *value,
		struct err *reterr);

/* schemas_want_ids and schemas_set_id for one schema. */
void schema_want_id(struct schema *s);
void schema_set_id(struct schema *s, uint32_t id);
bool schema_has_id(const struct schema *s, uint32_t id);

/* Appends the frame and the datum; nothing when it fails. */
int schema_write(const struct schema *s, avro_value_t *value, struct buf *out, struct err *reterr);
/* 00 and the id, big-endian. */
void schema_add_id_frame(struct buf *out, uint32_t id);

/*
 * Whether what `writer` writes can be read by field name as `reader`, as Avro
 * resolves them: fields may be missing where the reader has a default, be
 * more, or be promoted; the outermost records may have different names; a
 * timestamp may have another unit. A null stands for a default.
 *
 * 0: every value can be read. 1: some can; schema_resolve_value tells for
 * each (a table writer makes every field nullable, an enum may have a symbol
 * more). ERR_INVALID: none can; the text has the path: "operation.Execute.lease: int
 * is written, string is expected". A branch that the reader's union of
 * records does not know passes: its name tells the reader.
 */
int schema_resolve(const struct schema *reader, const struct schema *writer, struct err *reterr);
/* The same for one value of the writer: 0, or ERR_INVALID with the path. */
int schema_resolve_value(const struct schema *reader, const struct schema *writer,
			 const avro_value_t *value, struct err *reterr);

/*
 * From now on `s` is read as `reader`: schema_read refuses a value that
 * cannot be (`some`: there are such values). `reader` must outlive it.
 */
void schema_set_reader(struct schema *s, const struct schema *reader, bool some);
/* Whether a value of `s` is one of the record `name` of ours: it has that
 * name, or it is read as that one. */
bool schema_is(const struct schema *s, const char *name);

/* Appends the Parsing Canonical Form of a schema's JSON text. */
int schema_canonical(struct span text, struct buf *out, struct err *reterr);
/* CRC-64-AVRO in wire order. */
void schema_crc64(struct span bytes, uint8_t ret[SCHEMA_FINGERPRINT_LEN]);

#endif
