# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements of quality and speed; each script writes its table into docs/."""
