/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing AML (ACPI 6.3, chapter 20) for what is not known when the tables are compiled. A term that contains others is
 * opened and closed; its length is filled in when it is closed.
 */
#ifndef HW_ACPI_AML_H
#define HW_ACPI_AML_H

#include <glib.h>

/* Opens a term; returns what aml_close() wants. Names are paths ("\\_SB.PCI0", "C001"). */
size_t aml_open_scope(GByteArray *aml, const char *name);
size_t aml_open_device(GByteArray *aml, const char *name);
size_t aml_open_method(GByteArray *aml, const char *name, unsigned args, bool serialized);
size_t aml_open_if(GByteArray *aml); /* the condition comes next */
size_t aml_open_package(GByteArray *aml, unsigned count);
void aml_close(GByteArray *aml, size_t term);

/* An object that another table has, for those who read this one alone. */
enum { AML_DEVICE = 6, AML_METHOD = 8 };
void aml_external(GByteArray *aml, const char *name, uint8_t type, unsigned args);

/* Objects. */
void aml_name(GByteArray *aml, const char *name); /* Name (name, …): the object comes next */
void aml_integer(GByteArray *aml, uint32_t value);
void aml_string(GByteArray *aml, const char *text);
void aml_buffer(GByteArray *aml, const void *data, size_t len);
void aml_path(
    GByteArray *aml,
    const char *name); /* a reference, or the call of a method, whose arguments come next */
/* Operators: operands come next. */
void aml_arg(GByteArray *aml, unsigned n);
void aml_return(GByteArray *aml);
void aml_equal(GByteArray *aml);
void aml_notify(GByteArray *aml);

/* The data after Name (name, …) in compiled AML, whose name is unique there; it must be there. */
uint8_t *aml_find_name(uint8_t *aml, size_t len, const char name[4]);

#endif
