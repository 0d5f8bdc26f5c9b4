# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier 1 (torch allowed, bpy, guidance and editing never): clips, masks and pictures on disk."""
