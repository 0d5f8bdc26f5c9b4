# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a job: prepare, encode, optimise, decode, composite, write (torch, never bpy)."""
