# SPDX-License-Identifier: GPL-2.0-or-later
"""The QAPI generator, see scripts/qapi-gen."""
