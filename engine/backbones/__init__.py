# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen diffusion models behind one interface (torch, never bpy)."""
