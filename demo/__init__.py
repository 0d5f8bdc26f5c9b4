# SPDX-License-Identifier: GPL-3.0-or-later
"""Procedural clips with captions and exact ground truth, at any size and length."""
