/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: the command line: a tree of commands as tables, the parser that reads
 * them, the help that is made from them, and the output of all commands.
 *
 * Owns the parsed words and the configuration that they lead to. Knows nothing
 * of what a command does. Every name and text in a table lives as long as the
 * process. Not for several threads.
 */
#ifndef ENVDRIVER_CLI_CLI_H
#define ENVDRIVER_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/exit.h"

struct cli;
struct config;
struct err;

struct cli_option {
	const char *name;	/* without "--" */
	char letter;		/* 0: none */
	const char *value;	/* "FILE"; NULL: a switch */
	bool many;		/* may be repeated; else the last one counts */
	const char *help;	/* what the value is, or what a switch does; no full stop */
	/* For the command's own use: a field of a record, and its kind. */
	const char *field;
	int kind;
	bool required;
};

struct cli_command {
	const char *name;
	const char *summary;	/* one line, no full stop */
	const char *stage;	/* heading in the list of commands; NULL: the one before */
	const char *args;	/* "DIR", "[NAME...]"; NULL: takes none */
	int min_args, max_args;	/* max -1: any number */
	/* The first argument ends the options: the rest is the command line of
	 * another program. */
	bool passes_on;
	/* Runs for long and is watched by machines: logs at log.level, in JSON
	 * unless on a terminal. Others log warnings as text. */
	bool service;
	/* End with a row whose name is NULL, and with NULL. Options also
	 * count for every command below. */
	const struct cli_option *options;
	const struct cli_command *const *subs;
	const char *text;	/* what it does, examples; paragraphs end in \n */
	const char *key;	/* for the command's own use */
	int (*run)(struct cli *cli);	/* returns the exit code; NULL: only `subs` do */
};

/* NULL when out of memory. */
struct cli *cli_new(const struct cli_command *root);
void cli_free(struct cli *cli);
/* Parses the words, which are borrowed until cli_free. ERR_INVALID is a usage
 * error: the text names the mistake and the nearest right word, and cli_misuse
 * then points to the help of the command found so far. With --help or
 * --version nothing is missing. */
int cli_parse(struct cli *cli, int argc, char *const *argv, struct err *reterr);
/* Loads the configuration: defaults, -c or ENVDRIVER_CONFIG, variables, -X;
 * then sets up the log. ERR_CONFIG. Until then cli_config is NULL. */
int cli_configure(struct cli *cli, char *const envp[], struct err *reterr);
/* The same, but the caller owns the result. NULL on error. */
struct config *cli_load(const struct cli *cli, char *const envp[], struct err *reterr);
/* Makes it the configuration of `cli`. */
void cli_take_config(struct cli *cli, struct config **take_config);

/* The command found, and its path: "envdriver publish probe". */
const struct cli_command *cli_found(const struct cli *cli);
const char *cli_path(const struct cli *cli);
/* The i-th command of that path, the root first; NULL past the last. */
const struct cli_command *cli_way(const struct cli *cli, size_t i);
const struct config *cli_config(const struct cli *cli);
/* The subcommand of that name; NULL when there is none: then *ret_near is the
 * nearest name, or NULL. */
const struct cli_command *cli_sub(const struct cli_command *command, const char *word,
				  const char **ret_near);

/* Options. One that no table on the path declares fails an assert. */
const char *cli_flag(const struct cli *cli, const char *name);	/* the last one; NULL: not given */
bool cli_has(const struct cli *cli, const char *name);
/* The i-th value of a repeated option; NULL past the last. */
const char *cli_flag_at(const struct cli *cli, const char *name, size_t i);
size_t cli_n_args(const struct cli *cli);
const char *cli_arg(const struct cli *cli, size_t i);	/* NULL past the last */
/* A duration: 0 and *ret_ms untouched when the option was not given; ERR_INVALID. */
int cli_duration(const struct cli *cli, const char *name, int64_t *ret_ms, struct err *reterr);

/* Appends a whole file; "-" is standard input. Blocks. ERR_IO, or ERR_LIMIT
 * when it is larger than `max` bytes. */
int cli_read(const char *path, size_t max, struct buf *out, struct err *reterr);

/* Appends the help of a command. `words` are those behind "envdriver help";
 * ERR_INVALID when they name no command. */
int cli_help(const struct cli_command *root, const char *const *words, size_t n_words, bool bold,
	     struct buf *out, struct err *reterr);
/* Appends the whole manual page. */
void cli_man(const struct cli_command *root, struct buf *out);

/* Output. JSON lines unless standard output is a terminal. */
bool cli_json(const struct cli *cli);
bool cli_colours(const struct cli *cli);
bool cli_verbose(const struct cli *cli);
/* Writes to standard output at once; blocks. When the reader has gone away the
 * process ends by SIGPIPE, as usual; any other failure is reported and
 * remembered: cli_end then turns success into EXIT_TROUBLE. */
void cli_write(struct cli *cli, struct span text);
/* The same, but false when the reader has gone away. */
bool cli_try_write(struct cli *cli, struct span text);
/* Ends the process by SIGPIPE when the reader of standard output has gone away,
 * as the next write would: for commands that wait long before they write. */
void cli_check_reader(void);
bool cli_reader_is_gone(void);
/* Writes the buf and resets it; out of memory in it is a failure, too. JSON that goes
 * to a terminal passes through cli_add_json_safe. */
void cli_write_buf(struct cli *cli, struct buf *out);
/* Remembers such a failure, and tells of it: then waiting for more is useless. */
void cli_output_lost(struct cli *cli);
bool cli_output_is_lost(const struct cli *cli);
/* The exit code of a command that ends with `code`. */
int cli_end(const struct cli *cli, int code);

/* One line on standard error: "envdriver publish: text". */
void cli_complain(const struct cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, but not with -q. */
void cli_note(const struct cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The exit code that fits the code of the error. */
int cli_code(const struct err *err);
/* Complains, and returns that. */
int cli_fail(const struct cli *cli, const struct err *err);
/* Complains and points to the help; returns EXIT_USAGE. */
int cli_misuse(const struct cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One line on standard error that is written over, if that is a terminal and
 * without -q. A plain value: borrows `cli` after cli_progress_start. */
struct cli_progress {
	const struct cli *cli;
	int64_t next_ms;	/* INT64_MAX: never */
	bool shown;
};
void cli_progress_start(struct cli_progress *p, const struct cli *cli);
/* Whether half a second has passed since it was shown. */
bool cli_progress_due(const struct cli_progress *p);
void cli_progress(struct cli_progress *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Before something else is written to the terminal. */
void cli_progress_clear(struct cli_progress *p);

enum { CLI_NUMBER_MAX = 32 };
/* Writes "19,600" into `ret`, which it returns. */
char *cli_number(uint64_t n, char ret[CLI_NUMBER_MAX]);

/*
 * A table on a terminal, or with -o; JSON lines elsewhere. On a terminal it fits:
 * times, ids and names of topics become shorter, then columns are left out. With
 * -o wide or -o COLUMN,... nothing is; nor is anything shortened in a pipe.
 */
enum cli_cell {
	CLI_TEXT = 0,
	CLI_RAW = 1,	  /* JSON as it is: numbers, objects */
	CLI_ID = 2,	  /* may be cut to its beginning */
	CLI_TAIL = 4,	  /* may be cut to its end */
	CLI_TIME = 8,	  /* RFC 3339; may lose year and zone */
	CLI_PROSE = 16,	  /* may be cut between words; the last column takes what is left */
	CLI_WRAP = 32,	  /* the last column, on several lines */
	CLI_OUTCOME = 64, /* has a colour */
	CLI_SPARE = 128,  /* may be left out, the last such column first */
	CLI_HIDDEN = 256, /* only with -o; not in JSON */
};

struct cli_column {
	const char *key;	/* in JSON; the title is made from it */
	unsigned cell;		/* of enum cli_cell, or-ed */
	int width;		/* at least; if the first has one, rows are written at once */
};

enum { CLI_COLUMNS_MAX = 16 };

/* ERR_INVALID: -o names a column that is not there. */
int cli_check_columns(const struct cli *cli, const struct cli_column *columns, struct err *reterr);

struct cli_table;
/* `columns` ends with a NULL key and is borrowed until cli_table_end. NULL when
 * out of memory, which is reported; the others accept NULL. */
struct cli_table *cli_table_new(struct cli *cli, const struct cli_column *columns);
/* One cell for each column; ptr NULL is an empty cell, and null in JSON. */
void cli_table_row(struct cli_table *t, const struct span *cells);
/* Writes the rows still held, and frees the table. */
void cli_table_end(struct cli_table *t);

/* Appends foreign text so that a terminal can show it: control characters and
 * escape sequences become visible, bad UTF-8 is replaced. */
void cli_add_safe(struct buf *out, struct span text);
/* Appends JSON so that a terminal can show it: what could drive it, or make text
 * look different from what it is, becomes an escape. The values stay the same. */
void cli_add_json_safe(struct buf *out, struct span json);

#endif
