/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/exec_stop.h"

#include "envdriver/base/jtext.h"

struct parts {
	struct jtext top, target, lease;
};

static void
find_parts(struct span execute, struct parts *ret)
{
	*ret = (struct parts){ .top = { JTEXT_MISSING, SPAN_NULL } };
	(void)jtext_check(execute, JTEXT_DEPTH_MAX * 2, &ret->top, /* reterr= */ NULL);
	ret->target = jtext_get(ret->top, "target");
	ret->lease = jtext_get(jtext_get(ret->top, "operation"), "lease");
}

/* A member as it is, under another name; nothing when there is none. */
static void
copy_member(struct buf *out, struct jtext from, const char *name, const char *as)
{
	struct jtext value = jtext_get(from, name);

	if (value.kind == JTEXT_MISSING)
		return;
	if (out->len && out->data[out->len - 1] != '{')
		buf_addch(out, ',');
	buf_addf(out, "\"%s\":", as);
	buf_addspan(out, value.raw);
}

void
exec_stop_command(struct span execute, struct buf *out)
{
	static const char *const same[] = {
		"companyId", "environmentId", "issuedBy", "issueId", "traceparent", "target",
		"config",
	};
	struct parts p;

	find_parts(execute, &p);
	buf_addch(out, '{');
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		copy_member(out, p.top, same[i], same[i]);
	buf_adds(out, ",\"orderingKey\":\"\",\"operation\":{\"type\":\"ReleaseLease\"");
	copy_member(out, p.lease, "providerLeaseId", "providerLeaseId");
	copy_member(out, p.lease, "metadata", "leaseMetadata");
	buf_adds(out, ",\"cancelActiveWork\":true}}");
}

void
exec_stop_quote(struct buf *out, struct span word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_./:@%+,=";
	size_t n = 0;

	while (n < word.len && word.ptr[n] && strchr(plain, word.ptr[n]))
		n++;
	if (word.len && n == word.len) {
		buf_addspan(out, word);
		return;
	}
	buf_addch(out, '\'');
	for (n = 0; n < word.len; n++)
		if (word.ptr[n] == '\'')
			buf_adds(out, "'\\''");
		else
			buf_addch(out, word.ptr[n]);
	buf_addch(out, '\'');
}

static void
add_option(struct buf *out, const char *option, struct span value)
{
	buf_addf(out, " %s ", option);
	exec_stop_quote(out, value);
}

static void
decode_string(struct buf *out, struct jtext value)
{
	if (value.kind == JTEXT_STRING)
		jtext_decode(value, out, NULL);
}

/* An option whose value is a string of the command that is not empty. */
static void
add_string_option(struct buf *out, const char *option, struct jtext value)
{
	struct buf text = BUF_INIT;

	decode_string(&text, value);
	if (text.len)
		add_option(out, option, buf_span(&text));
	buf_release(&text);
}

static void
add_json_option(struct buf *out, const char *option, struct jtext value)
{
	if (value.kind != JTEXT_MISSING && value.kind != JTEXT_NULL)
		add_option(out, option, value.raw);
}

static void
add_target_option(struct buf *out, struct jtext target)
{
	struct buf text = BUF_INIT;

	if (jtext_is(jtext_get(target, "type"), "PluginDriver")) {
		decode_string(&text, jtext_get(target, "pluginKey"));
		buf_addch(&text, ':');
		decode_string(&text, jtext_get(target, "driverKey"));
		add_option(out, "--target", buf_span(&text));
	} else {
		add_string_option(out, "--provider", jtext_get(target, "provider"));
	}
	add_string_option(out, "--plugin-id", jtext_get(target, "pluginId"));
	buf_release(&text);
}

void
exec_stop_words(struct span execute, const char *config, struct buf *out)
{
	struct parts p;

	find_parts(execute, &p);
	buf_adds(out, "release");
	if (p.target.kind == JTEXT_OBJECT)
		add_target_option(out, p.target);
	add_string_option(out, "--company", jtext_get(p.top, "companyId"));
	add_string_option(out, "--environment", jtext_get(p.top, "environmentId"));
	if (config)
		add_option(out, "--config", span_of(config));
	else
		add_json_option(out, "--config", jtext_get(p.top, "config"));
	add_string_option(out, "--lease", jtext_get(p.lease, "providerLeaseId"));
	add_json_option(out, "--lease-metadata", jtext_get(p.lease, "metadata"));
	buf_adds(out, " --cancel-active-work --now");
}
