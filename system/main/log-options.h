/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -trace, and the help of -d and -trace. */
#ifndef SYSTEM_MAIN_LOG_OPTIONS_H
#define SYSTEM_MAIN_LOG_OPTIONS_H

#include <glib.h>
#include "options.h"

/* "[enable=]PATTERN[,events=FILE][,file=FILE]". */
bool log_option_trace(const char *arg, GError **error);
/* What "-d help", "-d trace:help" and "-trace help" print; NULL for other options. New string. */
char *log_option_help(OptionId id, const char *arg);

#endif
