# SPDX-License-Identifier: GPL-3.0-or-later
"""Algorithms that give a gradient on the target latents (torch, never bpy)."""
