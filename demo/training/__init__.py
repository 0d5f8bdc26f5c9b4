# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the demo backbone on clips of the procedural world (torch, never bpy)."""
