# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta Strip's engine. Modules here: stdlib only; packages below: torch allowed, bpy never."""

__version__ = "0.1.0"
