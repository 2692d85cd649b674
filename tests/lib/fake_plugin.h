/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_plugin: plays the plugin's part of a conversation, one step an
 * argument, then exits 0:
 *
 *   expect TEXT   read a line; it must contain TEXT, else exit 99
 *   reply JSON    answer the last line read with this result
 *   init          expect "initialize" and reply {"ok":true,...}
 *   send TEXT     write TEXT and a line end; raw TEXT: without one
 *   err TEXT      write TEXT and a line end to stderr; rawerr: without one
 *   sleep MS      exit N      kill NUMBER (itself)
 *   deaf          SIGTERM is ignored from now on
 *   close N       close a descriptor
 *   hold          fork a child that keeps every pipe open for 5 s
 *   away          the same, in a session of its own
 *   show          answer the last line read with what this process was given
 *   limits        the same with its core, files and processes limits
 *   echo          answer every request with {} until shutdown, then exit 0
 *   eof           read until the end of stdin
 */
#ifndef ENVDRIVER_TESTS_LIB_FAKE_PLUGIN_H
#define ENVDRIVER_TESTS_LIB_FAKE_PLUGIN_H

/* The steps are the arguments; returns the exit code. A test program is its
 * own plugin: it calls this when its first argument is "fake". */
int fake_plugin(int argc, char **argv);

#endif
